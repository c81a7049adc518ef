# SPDX-License-Identifier: Apache-2.0
"""Memory of heapecho's own: what a process has more than under the shim, its file's pages apart."""

import json
import pathlib

from driver import environment, figures

# Nearly as many sampled blocks as are followed before the live set is thinned, each from a stack of its own.
_BLOCKS = 20_000
_THREADS = (1, 65)


def measure(
    build: environment.Build, rounds: int, parent: pathlib.Path | None
) -> list[figures.Figure]:
    """Figures memory.process and memory.thread, in KiB of anonymous resident memory.

    Raises:
        environment.Unmeasurable: a program or library is missing, or the kernel does not tell.
        RuntimeError: a run failed, or heapecho did not sample the blocks.
    """
    program = build.program("own_memory")

    def run(variant: str) -> dict[int, dict[str, int]]:
        return {threads: _memory(build, program, variant, threads, parent) for threads in _THREADS}

    results = environment.in_turn(
        rounds, (environment.SHIM, environment.HEAPECHO), run, "memory of our own"
    )

    def more(each: dict[str, dict[int, dict[str, int]]], threads: int, kind: str) -> int:
        return each[environment.HEAPECHO][threads][kind] - each[environment.SHIM][threads][kind]

    few, many = _THREADS
    file_backed = figures.over_rounds(
        "", "KiB", [more(each, few, "file_kib") + more(each, few, "shared_kib") for each in results]
    )
    return [
        figures.over_rounds(
            "memory.process",
            "KiB",
            [more(each, few, "anonymous_kib") for each in results],
            {"file_backed_kib": file_backed.value},
        ),
        figures.over_rounds(
            "memory.thread",
            "KiB",
            [
                (more(each, many, "anonymous_kib") - more(each, few, "anonymous_kib")) / (many - few)
                for each in results
            ],
        ),
    ]


def _memory(
    build: environment.Build,
    program: pathlib.Path,
    variant: str,
    threads: int,
    parent: pathlib.Path | None,
) -> dict[str, int]:
    with environment.recordings_directory(parent) as recordings:
        memory = json.loads(
            environment.output_of(
                [program, str(_BLOCKS), str(threads)],
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
