# SPDX-License-Identifier: Apache-2.0
"""A Django application that says its own truth: one view leaks small objects, twenty hand over in the middle.

    /leak?count=N     keeps N records of a dict, a string and an instance; answers with what this worker keeps
    /turn/K           function work_K asks for marked blocks, lets others run, and asks again
    /health           which worker answers
"""

import os
import sys
import time

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

TURNS = 20
TURN_BYTES = 20_000  # and one more for each K

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="guards nothing", USE_TZ=True)
django.setup()


class Visitor:
    """An instance with nothing beside it: its attributes lie in itself."""

    __slots__ = ("name", "page")

    def __init__(self, name: str, page: str):
        self.name = name
        self.page = page


kept: list[dict] = []


def leak(request: HttpRequest) -> JsonResponse:
    for number in range(int(request.GET["count"])):
        kept.append({"visitor": Visitor(f"visitor number {number:06d}", request.path), "page": request.path})  # leaks
    return JsonResponse({"pid": os.getpid(), "bytes": kept_bytes(), "objects": 4 * len(kept)})


def kept_bytes() -> int:
    """What the line that leaks has asked for and holds, each object as the interpreter measures it."""
    return sys.getsizeof(kept) + sum(
        sys.getsizeof(record) + sys.getsizeof(record["visitor"]) + sys.getsizeof(record["visitor"].name)
        for record in kept)


def _make_turn(k: int):
    """A view and its function with names of their own, so that a stack says whose request it is."""
    source = f"""
def work_{k}(depth):
    if depth > 0:
        return work_{k}(depth - 1)
    before = bytearray({TURN_BYTES + k})
    time.sleep(0.001)
    after = bytearray({TURN_BYTES + k})
    return len(before) + len(after)

def turn_{k}(request):
    done = work_{k}({k} % 5)
    time.sleep(0)
    return JsonResponse({{"done": done + work_{k}(0)}})
"""
    names = {"__name__": __name__, "time": time, "JsonResponse": JsonResponse}
    exec(compile(source, __file__, "exec"), names)
    return names[f"turn_{k}"]


def health(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"pid": os.getpid()})


urlpatterns = [path("leak", leak), path("health", health)]
urlpatterns += [path(f"turn/{k}", _make_turn(k)) for k in range(TURNS)]
application = get_wsgi_application()
