# SPDX-License-Identifier: Apache-2.0
"""How long a call is held up where recordings lie on file systems of several kinds, in the mode that is chosen there."""

import contextlib
import json
import pathlib
import statistics
import sys
import unittest
from collections.abc import Callable

from driver import environment, figures, sampled

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "e2e"))
import mounts  # noqa: E402

_PAIRS = 8_000
_MEGABYTES = 300

Place = Callable[[pathlib.Path, contextlib.ExitStack], pathlib.Path]


def _image(kind: str) -> Place:
    return lambda folder, stack: stack.enter_context(mounts.image(folder / kind, kind, _MEGABYTES))


def _full_btrfs(folder: pathlib.Path, stack: contextlib.ExitStack) -> pathlib.Path:
    place = _image("btrfs")(folder, stack)
    # Room for a beginning, so that the disk is full while the recording goes on.
    mounts.fill(place, leave=2 << 20)
    return place


def _fuse(folder: pathlib.Path, stack: contextlib.ExitStack) -> pathlib.Path:
    below = folder / "below"
    below.mkdir()
    return stack.enter_context(mounts.fuse(folder / "fuse", below))


def _overlay(folder: pathlib.Path, stack: contextlib.ExitStack) -> pathlib.Path:
    return stack.enter_context(mounts.overlay(folder / "overlay", _image("ext4")(folder, stack)))


def _fsync_load(folder: pathlib.Path, stack: contextlib.ExitStack) -> pathlib.Path:
    stack.enter_context(sampled.fsync_load(folder))
    return folder


# By name: the place, and what HEAPECHO_MAP is there.
PLACES: dict[str, tuple[Place, str]] = {
    "btrfs": (_image("btrfs"), "1"),
    "btrfs_full": (_full_btrfs, "1"),
    "fuse": (_fuse, "1"),
    "overlay": (_overlay, "1"),
    "fsync": (_fsync_load, "1"),
    "fsync_written": (_fsync_load, "0"),
}


def measure(
    build: environment.Build, rounds: int, only: str | None, parent: pathlib.Path | None
) -> list[figures.Figure]:
    """Figures places.PLACE.p999 in microseconds: the 99.9th percentile of malloc and free, each sampled.

    Beside it, the same of the shim, which writes nothing; the median; and whether the file was mapped (1) or written (0).
    A place that cannot be had on this machine is said and left out.

    Raises:
        environment.Unmeasurable: a program or library is missing.
        RuntimeError: a run failed, or heapecho did not sample its allocations.
    """
    program = build.program("paced_events")
    found = []
    for name, (place, mapped) in PLACES.items():
        if only not in (None, name):
            continue
        modes = set()

        def run(variant: str, name: str = name, place: Place = place, mapped: str = mapped, modes: set = modes) -> dict:
            with environment.recordings_directory(parent) as folder, contextlib.ExitStack() as stack:
                recordings = place(folder, stack)
                if variant == environment.HEAPECHO:
                    recordings = recordings / "recordings"
                variables = environment.variables(build, variant, "glibc", recordings, environment.EVERYTHING)
                calls = json.loads(environment.output_of([program, str(_PAIRS)], variables | {"HEAPECHO_MAP": mapped}))
                if variant == environment.HEAPECHO:
                    (recording,) = environment.report(build, recordings)["recordings"]
                    modes.add(recording["keeping"])
                    if name != "btrfs_full" and recording["samples"] < _PAIRS:
                        raise RuntimeError(f"{name}: of {_PAIRS} allocations {recording['samples']} were sampled")
                return calls["calls"]

        try:
            results = environment.in_turn(rounds, (environment.SHIM, environment.HEAPECHO), run, f"places: {name}")
        except unittest.SkipTest as lacking:
            print(f"places: {name} left out: {lacking}", file=sys.stderr)
            continue
        found.append(_figure(name, results, modes))
    return found


def _figure(name: str, results: list[dict[str, dict]], modes: set[str]) -> figures.Figure:
    def microseconds(variant: str, percentile: str) -> list[float]:
        return [each[variant][percentile] / 1000 for each in results]

    return figures.over_rounds(
        f"places.{name}.p999",
        "us",
        microseconds(environment.HEAPECHO, "p999"),
        {
            "shim_us": statistics.median(microseconds(environment.SHIM, "p999")),
            "median_us": statistics.median(microseconds(environment.HEAPECHO, "median")),
            "most_us": statistics.median(microseconds(environment.HEAPECHO, "max")),
            "mapped": float(modes == {"mapped"}),
        },
    )
