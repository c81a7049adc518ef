# SPDX-License-Identifier: Apache-2.0
"""A program of an application's own: two views behind a WSGI server hold memory, imports do, and main does."""

import os
import sys
import wsgiref.handlers

HELD = []


def orders(environ, start_response):
    HELD.append(bytearray(300_000))
    start_response("200 OK", [])
    return [b""]


def decorate(view):
    def wrapper(environ, start_response):
        return view(environ, start_response)
    return wrapper


@decorate
def users(environ, start_response):
    sorted("abc", key=lambda _: HELD.append(bytearray(70_000)) or 0)
    start_response("200 OK", [])
    return [b""]


def main():
    for view in (orders, users):
        with open(os.devnull, "rb") as no_input, open(os.devnull, "wb") as no_output:
            wsgiref.handlers.SimpleHandler(no_input, no_output, sys.stderr, {"SERVER_PROTOCOL": "HTTP/1.1"}).run(view)
    HELD.append(bytearray(90_000_000))
    os._exit(0)  # what is held is held to the end


main()
