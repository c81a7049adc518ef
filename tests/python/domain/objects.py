# SPDX-License-Identifier: Apache-2.0
"""Asks CPython's object and memory domains for blocks of known sizes, and prints what is live at each site.

Through ctypes, so that each request's size is known to the byte; and as objects, so that the interpreter asks.
"""

import array
import ctypes
import json
import os

SIZES = [40, 64, 129, 256, 500, 511, 512, 513, 514, 700, 4000]

address, size_t = ctypes.c_void_p, ctypes.c_size_t


def function(name, result, *arguments):
    found = getattr(ctypes.pythonapi, name)
    found.restype, found.argtypes = result, arguments
    return found


api = {domain: {"malloc": function(domain + "_Malloc", address, size_t),
                "calloc": function(domain + "_Calloc", address, size_t, size_t),
                "realloc": function(domain + "_Realloc", address, address, size_t),
                "free": function(domain + "_Free", None, address)} for domain in ("PyObject", "PyMem")}
live = {}  # {site: {size: blocks}}
REPEATS = 60
kept = array.array("Q", bytes(8 * 40000))  # addresses, so that no Python integer is kept
at = 0


def keep(block):
    global at
    kept[at] = block
    at += 1


def note(site, size, blocks=1):
    sizes = live.setdefault(site, {})
    sizes[size] = sizes.get(size, 0) + blocks


def site_malloc(call, size):
    return call["malloc"](size)


def site_calloc(call, size):
    return call["calloc"](1, size)


def site_calloc_array(call, size):
    return call["calloc"](size // 8, 8)


def site_realloc_of_null(call, size):
    return call["realloc"](None, size)


def site_grown(call, block, size):
    return call["realloc"](block, size)


def site_held_bytes(into, size):
    for i in range(len(into)):
        into[i] = b"x" * size


def site_held_tuples(into):
    for i in range(len(into)):
        into[i] = tuple(into)


def ask():
    for call in api.values():
        for size in SIZES:
            for site, make in (("site_malloc", site_malloc), ("site_calloc", site_calloc),
                               ("site_realloc_of_null", site_realloc_of_null)):
                for i in range(2 * REPEATS):
                    block = make(call, size)
                    assert ctypes.string_at(block, size) is not None
                    if i % 2:
                        keep(block)
                        note(site, size)
                    else:
                        call["free"](block)
            for i in range(REPEATS):
                block = site_calloc_array(call, size // 8 * 8)
                assert ctypes.string_at(block, size // 8 * 8) == bytes(size // 8 * 8), "calloc gives zeros"
                keep(block)
                note("site_calloc_array", size // 8 * 8)
        # Between all sizes: up, down, in place, across the border between pymalloc and malloc.
        for before in SIZES:
            for after in SIZES + [before - 1]:
                for i in range(REPEATS // 10):
                    block = call["malloc"](before)
                    ctypes.memset(block, 0xa5, before)
                    block = site_grown(call, block, after)
                    same = min(before, after)
                    assert ctypes.string_at(block, same) == b"\xa5" * same, f"realloc keeps what was there: {before} {after}"
                    if i % 2:
                        call["free"](block)
                    else:
                        keep(block)
                        note("site_grown", after)


held_bytes = [None] * 5000
held_tuples = [None] * 400
ask()
site_held_bytes(held_bytes, 200)
note("site_held_bytes", held_bytes[0].__sizeof__(), len(held_bytes))
site_held_tuples(held_tuples)
HEAD = tuple.__basicsize__ + (len(held_tuples) * tuple.__itemsize__)
note("site_held_tuples", HEAD + 16, len(held_tuples))  # 16 bytes in front for the collector
for site, sizes in live.items():
    for size, blocks in sizes.items():
        print(json.dumps({"site": site, "size": size, "live": blocks, "pid": os.getpid()}), flush=True)
os.kill(os.getpid(), 9)
