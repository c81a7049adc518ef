# SPDX-License-Identifier: Apache-2.0
"""The programs and libraries of a build, the variants they run in, and runs of the variants in turn."""

import contextlib
import ctypes.util
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

# So large that practically nothing is sampled but what a program allocates for being sampled.
UNSAMPLED = "1G"
# Every allocation is sampled.
EVERYTHING = "1"

NOTHING = "nothing"
SHIM = "shim"
HEAPECHO = "heapecho"


class Unmeasurable(Exception):
    """This machine or build lacks what a measurement needs; the message says what."""


@dataclasses.dataclass(frozen=True)
class Build:
    """A build directory, as CMake made it."""

    directory: pathlib.Path

    @property
    def library(self) -> pathlib.Path:
        return self._existing("libheapecho.so")

    @property
    def analyzer(self) -> pathlib.Path:
        return self._existing("heapecho")

    @property
    def shim(self) -> pathlib.Path:
        return self._existing("bench/libbench_shim.so")

    def program(self, name: str) -> pathlib.Path:
        """A benchmark program. Raises Unmeasurable when it was not built."""
        return self._existing(f"bench/{name}")

    def _existing(self, name: str) -> pathlib.Path:
        path = (self.directory / name).resolve()
        if not path.exists():
            raise Unmeasurable(f"{path} does not exist: build it first")
        return path


def allocator_library(allocator: str) -> str | None:
    """What to preload for an allocator: None for glibc's own. Raises Unmeasurable if not installed."""
    if allocator == "glibc":
        return None
    library = ctypes.util.find_library(allocator)
    if library is None:
        raise Unmeasurable(f"{allocator} is not installed")
    return library


def variables(
    build: Build, variant: str, allocator: str, recordings: pathlib.Path, interval: str | None
) -> dict[str, str]:
    """The environment of a run.

    Args:
        build: where the preloaded library comes from.
        variant: NOTHING, SHIM or HEAPECHO.
        allocator: the allocator below, by its library's name; "glibc" for the C library's.
        recordings: where heapecho writes.
        interval: HEAPECHO_INTERVAL; None for the default.

    Raises:
        Unmeasurable: the variant's library or the allocator is missing.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HEAPECHO_", "LD_PRELOAD", "MALLOC_", "GLIBC_TUNABLES"))
    }
    preloads = {NOTHING: [], SHIM: [build.shim], HEAPECHO: [build.library]}[variant]
    libraries = [str(path) for path in preloads]
    if (below := allocator_library(allocator)) is not None:
        libraries.append(below)
    if libraries:
        kept["LD_PRELOAD"] = " ".join(libraries)
    if variant == HEAPECHO:
        kept["HEAPECHO_DIR"] = str(recordings)
        kept["HEAPECHO_SHORT"] = "keep"
        if interval is not None:
            kept["HEAPECHO_INTERVAL"] = interval
    return kept


def output_of(command: Sequence[str | pathlib.Path], environment: Mapping[str, str]) -> str:
    """Runs a command and returns its standard output. Raises RuntimeError with its errors if it fails."""
    done = subprocess.run(
        [str(word) for word in command], env=dict(environment), capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


@contextlib.contextmanager
def recordings_directory(parent: pathlib.Path | None) -> Iterator[pathlib.Path]:
    """An empty directory for recordings, gone afterwards; below `parent` or where temporary files go."""
    with tempfile.TemporaryDirectory(prefix="heapecho-bench-", dir=parent) as path:
        yield pathlib.Path(path)


def in_turn(
    rounds: int, variants: Sequence[str], run: Callable[[str], T], label: str
) -> list[dict[str, T]]:
    """Runs each variant once a round, beginning with another one each round.

    What disturbs the machine for longer than a run then meets all variants, and values of one round may
    be divided by each other. Returns a dictionary by variant for each round.
    """
    results = []
    for number in range(rounds):
        start = number % len(variants)
        order = [*variants[start:], *variants[:start]]
        progress(f"{label}: round {number + 1} of {rounds}")
        results.append({variant: run(variant) for variant in order})
    progress("")
    return results


def progress(text: str) -> None:
    """Shows what is being measured on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def report(build: Build, recordings: pathlib.Path) -> dict:
    """What the report says of all recordings of a directory."""
    return json.loads(output_of([build.analyzer, "report", "--json", recordings], os.environ))


def samples_recorded(build: Build, recordings: pathlib.Path) -> int:
    """The sampled allocations in all recordings of a directory."""
    return sum(recording["samples"] for recording in report(build, recordings)["recordings"])
