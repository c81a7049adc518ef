# SPDX-License-Identifier: Apache-2.0
"""Memory of heapecho's own: what a process has more than under the shim, its file's pages apart."""

import json
import pathlib
import statistics

from driver import environment, figures

# Nearly as many sampled blocks as there is room for stacks, each from one of its own.
_BLOCKS = 19_000
# More stacks than the tables hold.
_STACKS = 1_000_000
# More mapped ranges than their table holds.
_RANGES = 2_000
# Arguments of the program by what is measured: blocks, stacks, threads, ranges.
_LOADS = {"process": (_BLOCKS, 0, 1, 0), "threads": (_BLOCKS, 0, 65, 0), "full": (_BLOCKS, _STACKS, 1, _RANGES)}


def measure(
    build: environment.Build, rounds: int, parent: pathlib.Path | None
) -> list[figures.Figure]:
    """Figures memory.process, memory.full and memory.thread, in KiB of anonymous resident memory.

    Raises:
        environment.Unmeasurable: a program or library is missing, or the kernel does not tell.
        RuntimeError: a run failed, or heapecho did not sample the blocks.
    """
    program = build.program("own_memory")

    def run(variant: str) -> dict[str, dict[str, int]]:
        return {name: _memory(build, program, variant, load, parent) for name, load in _LOADS.items()}

    results = environment.in_turn(
        rounds, (environment.SHIM, environment.HEAPECHO), run, "memory of our own"
    )

    def more(load: str, kind: str) -> list[int]:
        return [
            each[environment.HEAPECHO][load][kind] - each[environment.SHIM][load][kind] for each in results
        ]

    def file_backed(load: str) -> dict[str, float]:
        return {"file_kib": statistics.median(map(sum, zip(more(load, "file_kib"), more(load, "shared_kib"))))}

    threads = _LOADS["threads"][2] - _LOADS["process"][2]
    return [
        figures.over_rounds("memory.process", "KiB", more("process", "anonymous_kib"), file_backed("process")),
        figures.over_rounds("memory.full", "KiB", more("full", "anonymous_kib"), file_backed("full")),
        figures.over_rounds(
            "memory.thread",
            "KiB",
            [
                (many - one) / threads
                for many, one in zip(more("threads", "anonymous_kib"), more("process", "anonymous_kib"))
            ],
        ),
    ]


def _memory(
    build: environment.Build,
    program: pathlib.Path,
    variant: str,
    load: tuple[int, int, int, int],
    parent: pathlib.Path | None,
) -> dict[str, int]:
    with environment.recordings_directory(parent) as recordings:
        memory = json.loads(
            environment.output_of(
                [program, *map(str, load)],
                environment.variables(build, variant, "glibc", recordings, environment.EVERYTHING),
            )
        )
        if memory["anonymous_kib"] < 0:
            raise environment.Unmeasurable("/proc/self/status tells no RssAnon")
        if variant == environment.HEAPECHO:
            samples = environment.samples_recorded(build, recordings)
            if samples < _BLOCKS:
                raise RuntimeError(f"of {_BLOCKS} blocks {samples} were sampled")
        return memory
