# SPDX-License-Identifier: Apache-2.0
"""Marked blocks: each has a size of its own, and says which Python stack asked for it.

A block is asked for with at() in the place of its size. C code that is about to allocate asks at() for a number, and
at that moment sys._getframe() shows the stack of the allocation, down to the instruction: nothing of Python runs
between that and the call of malloc.
"""

import itertools
import json
import os
import signal
import sys

# Block `number` has BASE + STEP * number bytes and one of HEADERS more, which its object adds; nothing that grows by
# itself has such an odd size. In units of 8 bytes it has as many fewer as BASE has beyond them.
BASE, STEP = 200003, 256
HEADERS = sorted({0, -(BASE % 8), sys.getsizeof(b""), sys.getsizeof(""), sys.getsizeof("é".ljust(1000)) - 1000,
                  sys.getsizeof(bytearray(1000)) - sys.getsizeof(bytearray()) - 1000})

KEPT = []
keep = KEPT.append

POINTS = []    # (name, function)
MISSING = {}   # {name: why this interpreter has it not}
TRUTH = []     # (number of the block, its stack)
_numbers = itertools.count()


class Missing(Exception):
    """Raised by a point that this interpreter cannot have; says why."""


def frames(frame):
    """The stack from `frame` outwards: name, file and line of each."""
    found = []
    while frame is not None:
        code = frame.f_code
        found.append((getattr(code, "co_qualname", code.co_name), code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return found


class at:
    """The size of the next marked block, counted in `unit` bytes; told to C code when it asks."""

    def __init__(self, unit=1):
        self.unit = unit

    def __index__(self):
        number = next(_numbers)
        TRUTH.append((number, frames(sys._getframe(1))))
        return (BASE + STEP * number) // self.unit


def point(function):
    """Registers an allocation point; points run in the order in which they are registered."""
    POINTS.append((function.__name__, function))
    return function


def run():
    for name, function in POINTS:
        before = len(TRUTH)
        try:
            function()
        except Missing as why:
            MISSING[name] = str(why)
        else:
            if len(TRUTH) == before:
                raise AssertionError("point %s allocated nothing" % name)


def finish(path, **more):
    """Writes what is true to `path` and kills the process: every marked block is alive then."""
    said = {"pid": os.getpid(), "version": sys.version.split()[0], "base": BASE, "step": STEP, "headers": HEADERS,
            "points": [name for name, _ in POINTS if name not in MISSING], "missing": MISSING, "truth": TRUTH}
    said.update(more)
    with open(path, "w") as file:
        json.dump(said, file)
    os.kill(os.getpid(), signal.SIGKILL)
