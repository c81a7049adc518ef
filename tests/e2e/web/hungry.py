# SPDX-License-Identifier: Apache-2.0
"""A WSGI application that eats memory or time when it is told to.

    /eat?BYTES    keeps as many bytes, touched; answers with the worker's pid
    /hang         never answers
    anything else answers with the worker's pid
"""

import os
import threading

kept: list[bytearray] = []


def eat(count: int) -> None:
    block = bytearray(count)  # eats
    for page in range(0, count, 4096):
        block[page] = 1
    kept.append(block)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/eat":
        eat(int(environ["QUERY_STRING"]))
    elif environ["PATH_INFO"] == "/hang":
        threading.Event().wait()
    body = b'{"pid": %d}' % os.getpid()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
