# SPDX-License-Identifier: Apache-2.0
"""hot.py: allocates in loops that a JIT compiles; says whether it did, and kills itself."""

import os
import signal
import sys

kept = []
active = 0


def inner(number, keep):
    global active
    active += sys._jit.is_active()
    passing = bytearray(1000 + number % 7)
    if keep:
        kept.append(bytearray(50_000))  # inner
    return len(passing)


def hot(count):
    total = 0
    for number in range(count):
        total += inner(number, number % 1000 == 999)  # calls
        if number % 1000 == 999:
            kept.append(bytearray(60_000))  # hot
    return total


hot(60_000)  # runs
print(active, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
