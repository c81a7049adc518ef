# SPDX-License-Identifier: Apache-2.0
"""The truth test's program: allocates at every point there is, says what is true, and is killed with all of it live.

Runs unchanged on CPython 3.8 and later. Its argument names the file that the truth is written to.
"""

import atexit
import sys

import marks

# What an interpreter calls when it ends, it calls in reverse: this is the last.
atexit.register(marks.finish, sys.argv[1])

import functions     # noqa: E402,F401
import classes       # noqa: E402,F401
import callbacks     # noqa: E402,F401
import concurrency   # noqa: E402,F401
import sources       # noqa: E402,F401

BLOCK = bytearray(marks.at())


@atexit.register
def at_exit():
    marks.keep(bytearray(marks.at()))


marks.run()
