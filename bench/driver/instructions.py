# SPDX-License-Identifier: Apache-2.0
"""Instructions of unsampled pairs, counted by callgrind: they repeat exactly."""

import pathlib
import shutil
from collections.abc import Sequence

from driver import callgrind, environment, figures

# Pairs that end in the kernel have a budget of their own.
_MAPPING = "mmap_munmap"
KINDS = ("malloc_free", "new_delete", "new_sized_delete", "calloc_free", "realloc", _MAPPING)

# Few enough that none of them is sampled (about 6 in 100,000 runs), and exact all the same: what a run
# costs beside its pairs is the same in each variant.
_PAIRS = 1000


def measure(
    build: environment.Build,
    allocators: Sequence[str],
    kinds: Sequence[str],
    parent: pathlib.Path | None,
) -> list[figures.Figure]:
    """Figures instructions.KIND.ALLOCATOR.heapecho_over_shim, mapping. for mmap: instructions a pair more than the shim's.

    The pairs run beside a live set that holds sampled blocks, none of them theirs.

    Raises:
        environment.Unmeasurable: valgrind, a program or a library is missing.
        RuntimeError: a run failed, or heapecho did not record it.
    """
    if shutil.which("valgrind") is None:
        raise environment.Unmeasurable("valgrind is not installed")
    found = []
    for allocator in allocators:
        for kind in kinds:
            environment.progress(f"instructions of {kind} over {allocator}")
            counts = {
                variant: _count(build, variant, allocator, kind, parent)
                for variant in (environment.NOTHING, environment.SHIM, environment.HEAPECHO)
            }
            more = counts[environment.HEAPECHO] - counts[environment.SHIM]
            found.append(
                figures.over_rounds(
                    f"{'mapping' if kind == _MAPPING else 'instructions'}.{kind}.{allocator}.heapecho_over_shim",
                    "instructions",
                    [more],
                    {variant: count for variant, count in counts.items()},
                )
            )
    environment.progress("")
    return found


def _count(
    build: environment.Build,
    variant: str,
    allocator: str,
    kind: str,
    parent: pathlib.Path | None,
) -> float:
    """Instructions a pair of `kind`, the loop around it included."""
    command = [build.program("instructions"), kind, str(_PAIRS)]
    return callgrind.count(build, variant, allocator, command, parent) / _PAIRS
