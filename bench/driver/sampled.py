# SPDX-License-Identifier: Apache-2.0
"""Time of one sampled allocation by the depth of its stack, above the same call through the shim."""

import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence

from driver import environment, figures

# By what the sampler meets: numbers of frames. Too few frames would not make a new stack each time.
FRAMES = {"known": (10, 40, 100), "evicted": (10, 40, 100), "first": (40, 100)}

# New stacks a run are bounded, so that the tables that hold them are not full before it ends.
_EVENTS = {"known": 100_000, "evicted": 2_000, "first": 10_000}


def measure(
    build: environment.Build,
    rounds: int,
    under_load: bool,
    parent: pathlib.Path | None,
) -> list[figures.Figure]:
    """Figures sampled.STACKS.FRAMES.{median,p99} in microseconds; sampled_under_fsync.… under that load.

    Each is heapecho's median or 99th percentile less the shim's median. The load writes and fsyncs a file
    on the file system that the recordings lie on.

    Raises:
        environment.Unmeasurable: a program or library is missing.
        RuntimeError: a run failed, or heapecho did not sample its allocations.
    """
    program = build.program("sampled_event")
    section = "sampled_under_fsync" if under_load else "sampled"
    found = []
    with _load(parent) if under_load else contextlib.nullcontext():
        for stacks, depths in FRAMES.items():
            for frames in depths:

                def run(variant: str, stacks: str = stacks, frames: int = frames) -> dict:
                    with environment.recordings_directory(parent) as recordings:
                        times = json.loads(
                            environment.output_of(
                                [program, stacks, str(frames), str(_EVENTS[stacks])],
                                environment.variables(
                                    build, variant, "glibc", recordings, environment.EVERYTHING
                                ),
                            )
                        )
                        if variant == environment.HEAPECHO:
                            samples = environment.samples_recorded(build, recordings)
                            if samples < _EVENTS[stacks]:
                                raise RuntimeError(
                                    f"of {_EVENTS[stacks]} allocations {samples} were sampled"
                                )
                        return times

                results = environment.in_turn(
                    rounds,
                    (environment.SHIM, environment.HEAPECHO),
                    run,
                    f"{section}: {stacks} stack, {frames} frames",
                )
                found += _figures(f"{section}.{stacks}.{frames}", results)
    return found


def _figures(name: str, results: Sequence[dict[str, dict]]) -> list[figures.Figure]:
    def microseconds(call: str, percentile: str) -> list[float]:
        return [
            (each[environment.HEAPECHO][call][percentile] - each[environment.SHIM][call]["median"]) / 1000
            for each in results
        ]

    free = {"free_us": statistics.median(microseconds("free", "median"))}
    free_p99 = {
        "free_us": statistics.median(microseconds("free", "p99")),
        "p999_us": statistics.median(microseconds("malloc", "p999")),
    }
    return [
        figures.over_rounds(f"{name}.median", "us", microseconds("malloc", "median"), free),
        figures.over_rounds(f"{name}.p99", "us", microseconds("malloc", "p99"), free_p99),
    ]


_WRITE_AND_FSYNC = """
import os, sys
block = bytes(1 << 20)
with open(sys.argv[1], "wb", buffering=0) as file:
    print("writing", flush=True)
    while True:
        for _ in range(8):
            file.write(block)
        os.fsync(file.fileno())
        file.seek(0)
"""


@contextlib.contextmanager
def fsync_load(directory: pathlib.Path) -> Iterator[None]:
    """A process that writes and fsyncs a file in `directory`, until the end of the block."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITE_AND_FSYNC, str(directory / "load")], stdout=subprocess.PIPE
    )
    try:
        if writer.stdout is None or writer.stdout.readline() == b"":
            raise RuntimeError("the writing load did not start")
        yield
    finally:
        writer.kill()
        writer.wait()


@contextlib.contextmanager
def _load(parent: pathlib.Path | None) -> Iterator[None]:
    with environment.recordings_directory(parent) as directory, fsync_load(directory):
        yield
