# SPDX-License-Identifier: Apache-2.0
"""Holds objects of a known size and says how many, without any extension module; then kills itself, or with an argument
ends well."""

import os
import sys


def site_held_bytes(into, size):
    for i in range(len(into)):
        into[i] = b"x" * size


def say(site, size, count):
    print('{"site": "%s", "size": %d, "live": %d, "pid": %d}' % (site, size, count, os.getpid()), flush=True)


held_bytes = [None] * 20000
site_held_bytes(held_bytes, 200)
say("site_held_bytes", held_bytes[0].__sizeof__(), len(held_bytes))
if len(sys.argv) == 1:
    os.kill(os.getpid(), 9)
