# SPDX-License-Identifier: Apache-2.0
"""Reads what a killed program held: the shared file of tests/programs/mirror.h."""

import mmap
import struct
from collections import namedtuple
from pathlib import Path

THREADS, SLOTS = 4, 1024
THREAD_HEAD = struct.Struct("<6Q")
THREAD_HEAD_BYTES = 64
SLOT = struct.Struct("<3Q")
THREAD_BYTES = THREAD_HEAD_BYTES + SLOTS * SLOT.size
BYTES = THREADS * THREAD_BYTES

NONE, ALLOCATE, FREE, REALLOCATE = 0, 1, 2, 3

Block = namedtuple("Block", "address size site")
ThreadState = namedtuple("ThreadState", "held operation slot_block new_size new_site operations allocated_bytes")


class Mirror:
    """The program's file. Make it before the program starts; read it while it runs or after its death."""

    def __init__(self, path: Path):
        self.path = path
        path.write_bytes(bytes(BYTES))
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), BYTES)

    def close(self) -> None:
        self._memory.close()

    def operations(self) -> int:
        """Completed by all threads so far."""
        return sum(THREAD_HEAD.unpack_from(self._memory, t * THREAD_BYTES)[4] for t in range(THREADS))

    def threads(self) -> list[ThreadState]:
        """`held`: blocks that are certainly held, by address. `slot_block`: the block that the operation under
        way (if any) began with, or None; it is not among the held."""
        states = []
        for t in range(THREADS):
            operation, slot, new_size, new_site, operations, allocated = THREAD_HEAD.unpack_from(
                self._memory, t * THREAD_BYTES)
            held, slot_block = {}, None
            for s in range(SLOTS):
                at = t * THREAD_BYTES + THREAD_HEAD_BYTES + s * SLOT.size
                block = Block._make(SLOT.unpack_from(self._memory, at))
                if operation != NONE and s == slot:
                    slot_block = block if block.address else None
                elif block.address:
                    held[block.address] = block
            states.append(ThreadState(held, operation, slot_block, new_size, new_site, operations, allocated))
        return states
