# SPDX-License-Identifier: Apache-2.0
"""The shop's views: three that behave, one that leaks."""

import ctypes
import os

import pyarrow.parquet
from django.conf import settings
from django.db.models import Count, Sum
from django.http import HttpRequest, JsonResponse

from shop.models import Order

SESSION_BYTES = 512 << 10
AUDIT_BYTES = 64 << 10

_session_cache = ctypes.CDLL(str(settings.DATA / "libsession_cache.so"))
_session_cache.session_cache_store.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
_session_cache.session_cache_bytes.restype = ctypes.c_size_t
_audit_log: list[bytearray] = []


def health(request: HttpRequest) -> JsonResponse:
    """Says which worker answers."""
    return JsonResponse({"pid": os.getpid()})


def catalogue(request: HttpRequest) -> JsonResponse:
    """A page of JSON made anew for each request and gone with it."""
    articles = [{"id": i, "name": f"article {i}", "tags": [f"tag {i % 7}", f"tag {i % 11}"]} for i in range(500)]
    return JsonResponse({"articles": articles})


def customers(request: HttpRequest) -> JsonResponse:
    """What each customer spent: an ORM query on sqlite."""
    rows = Order.objects.values("customer").annotate(orders=Count("id"), cents=Sum("cents")).order_by("-cents")
    return JsonResponse({"customers": list(rows)})


def readings(request: HttpRequest, row_group: int) -> JsonResponse:
    """One row group of a parquet file turned into JSON."""
    table = pyarrow.parquet.ParquetFile(settings.DATA / "readings.parquet").read_row_group(row_group)
    return JsonResponse({"readings": table.to_pylist()})


def login(request: HttpRequest) -> JsonResponse:
    """Leaks a session in a native library and an audit record in Python; says how much this worker holds."""
    if _session_cache.session_cache_store(os.urandom(SESSION_BYTES), SESSION_BYTES) != 0:
        return JsonResponse({"error": "no memory"}, status=503)
    _audit_log.append(bytearray(AUDIT_BYTES))
    return JsonResponse({"pid": os.getpid(), "session_bytes": _session_cache.session_cache_bytes(),
                         "audit_bytes": AUDIT_BYTES * len(_audit_log)})
