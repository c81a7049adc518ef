# SPDX-License-Identifier: Apache-2.0
"""gunicorn's configuration of the service that is measured: makes a fresh worker's heap that of one that has served for hours.

There, each of the interpreter's arenas holds something that stays. In a fresh worker, whether a request for parquet gives an
arena back to the kernel and the next one maps it again is chance: no page fault a request or 252 of them, 3 % of its time,
from start to start, with heapecho and without.
"""

_BLOCK = bytes(range(200))
_BLOCKS = 80_000  # 19 MB with their headers: what a request needs has room in it
_KEPT_OF = 500  # of blocks that fill 128 KiB; the smallest arenas, those of 3.9 and before, have 256 KiB

_kept: list[bytes] = []


def post_worker_init(worker: object) -> None:
    """Called by gunicorn when the worker is about to serve."""
    blocks = [_BLOCK + bytes([number % 256]) for number in range(_BLOCKS)]
    _kept.extend(blocks[::_KEPT_OF])
