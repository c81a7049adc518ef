# SPDX-License-Identifier: Apache-2.0
"""A Django application that turns a parquet file into JSON, for gunicorn and as `exporter.py runserver`.

    /export           reads the file of EXPORTER_FILE, makes rows of it and JSON of them, keeps all three; says how much
                      each holds
    /drop             lets go of all three and collects; says what is still held
    /health           which process answers, in a thread of how many
    /leave            ends the process as it stands, without an answer
"""

import gc
import json
import os
import sys
import threading

import django
import pyarrow
import pyarrow.parquet
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="guards nothing", USE_TZ=True,
                   DEBUG="runserver" in sys.argv)
django.setup()

kept: dict = {}


def rows_bytes(rows: list[dict]) -> int:
    """What the rows hold, each object once, as the interpreter measures it."""
    seen: dict[int, int] = {id(rows): sys.getsizeof(rows)}
    for row in rows:
        seen[id(row)] = sys.getsizeof(row)
        for value in row.values():
            seen[id(value)] = sys.getsizeof(value)
    return sum(seen.values())


def state() -> JsonResponse:
    return JsonResponse({"pid": os.getpid(), "arrow": pyarrow.total_allocated_bytes(),
                         "rows": rows_bytes(kept.get("rows", [])), "text": sys.getsizeof(kept.get("text", ""))})


def export(request: HttpRequest) -> JsonResponse:
    table = pyarrow.parquet.read_table(os.environ["EXPORTER_FILE"])  # reads
    rows = table.to_pylist()  # converts
    text = json.dumps(rows)  # serializes
    kept.update(table=table, rows=rows, text=text)
    return state()


def drop(request: HttpRequest) -> JsonResponse:
    kept.clear()
    gc.collect()
    return state()


def health(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"pid": os.getpid(), "threads": threading.active_count()})


def leave(request: HttpRequest) -> JsonResponse:
    os._exit(0)


urlpatterns = [path("export", export), path("drop", drop), path("health", health), path("leave", leave)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
