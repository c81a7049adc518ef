# SPDX-License-Identifier: Apache-2.0
"""Prints how many blocks the interpreter counts after it made, and freed, many objects."""

import os
import sys


def site_made():
    return [{"number": float(i), "name": "x%d" % i} for i in range(20000)]


def grown():
    buffer = bytearray()
    for i in range(5000):
        buffer.append(i % 256)
    return buffer


blocks = [sys.getallocatedblocks()]
held = site_made()
blocks.append(sys.getallocatedblocks())
del held[::2]
buffer = grown()
blocks.append(sys.getallocatedblocks())
# Where things lie in memory decides how many there were before.
print([block - blocks[0] for block in blocks], flush=True)
os.kill(os.getpid(), 9)
