# SPDX-License-Identifier: Apache-2.0
"""Time of unsampled pairs of allocation and free: nothing, shim and heapecho, in one run side by side."""

import json
import pathlib
import statistics
from collections.abc import Sequence

from driver import environment, figures

# heapecho as it is installed, sampling at its own choice; beside the unsampled pair, not the same thing.
_DEFAULTS = "defaults"
# Of the blocks that malloc_pair holds to be sampled, far fewer than are to be expected.
_LEAST_SAMPLES = 500


def measure(
    build: environment.Build,
    rounds: int,
    allocators: Sequence[str],
    only: str | None,
    parent: pathlib.Path | None,
) -> list[figures.Figure]:
    """Figures pair.BENCHMARK.ALLOCATOR.heapecho_over_shim, ratios of CPU time.

    CPU time and not elapsed time: what else runs on the machine takes turns with the benchmark, and that
    is nobody's cost. `only` is a regular expression over the benchmarks' names.

    Raises:
        environment.Unmeasurable: a program or library is missing.
        RuntimeError: a run failed, or heapecho did not record it.
    """
    program = build.program("malloc_pair")
    found = []
    for allocator in allocators:

        def run(variant: str, allocator: str = allocator) -> dict[str, float]:
            with environment.recordings_directory(parent) as recordings:
                preload = environment.HEAPECHO if variant == _DEFAULTS else variant
                interval = None if variant == _DEFAULTS else environment.UNSAMPLED
                times = _times(
                    environment.output_of(
                        [
                            program,
                            "--benchmark_format=json",
                            "--benchmark_min_time=0.05",
                            *([f"--benchmark_filter={only}"] if only else []),
                        ],
                        environment.variables(build, preload, allocator, recordings, interval),
                    )
                )
                if preload == environment.HEAPECHO:
                    samples = environment.samples_recorded(build, recordings)
                    if samples < _LEAST_SAMPLES:
                        raise RuntimeError(
                            f"heapecho recorded {samples} samples over {allocator}: figures without a"
                            " live set would say nothing"
                        )
                return times

        results = environment.in_turn(
            rounds,
            (environment.NOTHING, environment.SHIM, environment.HEAPECHO, _DEFAULTS),
            run,
            f"pair over {allocator}",
        )
        for benchmark in results[0][environment.SHIM]:
            found.append(_figure(benchmark, allocator, results))
    return found


def _times(output: str) -> dict[str, float]:
    """CPU time an iteration in ns, by benchmark."""
    return {
        entry["name"].replace("/threads:", "/t"): entry["cpu_time"]
        for entry in json.loads(output)["benchmarks"]
        if entry["run_type"] == "iteration"
    }


def _figure(
    benchmark: str, allocator: str, results: Sequence[dict[str, dict[str, float]]]
) -> figures.Figure:
    def ratios(variant: str) -> list[float]:
        return [each[variant][benchmark] / each[environment.SHIM][benchmark] for each in results]

    return figures.over_rounds(
        f"pair.{benchmark}.{allocator}.heapecho_over_shim",
        "x",
        ratios(environment.HEAPECHO),
        {
            "shim_ns": statistics.median(each[environment.SHIM][benchmark] for each in results),
            "nothing_x": statistics.median(ratios(environment.NOTHING)),
            "defaults_x": statistics.median(ratios(_DEFAULTS)),
        },
    )
