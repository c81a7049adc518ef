# SPDX-License-Identifier: Apache-2.0
"""The allocators below the preload that this machine has."""

from pathlib import Path

import pytest

PLACES = (Path("/usr/lib/x86_64-linux-gnu"), Path("/usr/lib64"), Path("/usr/lib"), Path("/usr/local/lib"))
FILES = {"jemalloc": ("libjemalloc.so.2",), "tcmalloc_minimal": ("libtcmalloc_minimal.so.4",),
         "mimalloc": ("libmimalloc.so.2", "libmimalloc.so.2.0")}
NAMES = ("glibc", *FILES)


def path_of(name: str) -> Path | None:
    """Its shared library; None for glibc, which is below by itself. Skips where there is none."""
    if name == "glibc":
        return None
    for place in PLACES:
        for file in FILES[name]:
            if (place / file).exists():
                return place / file
    pytest.skip(f"no {name} on this machine")
