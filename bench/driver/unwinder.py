# SPDX-License-Identifier: Apache-2.0
"""Time of one walk of the native stack by depth, heapecho's and others'."""

import json
import os
from collections.abc import Sequence

from driver import environment, figures


def measure(build: environment.Build, rounds: int) -> list[figures.Figure]:
    """Figures unwinder.UNWINDER.FRAMES in ns a walk.

    Raises:
        environment.Unmeasurable: the program is missing.
        RuntimeError: it failed, or a walk ended too early.
    """
    program = build.program("unwinder")

    def run(_: str) -> dict[str, dict]:
        output = environment.output_of(
            [program, "--benchmark_format=json", "--benchmark_min_time=0.1"], os.environ
        )
        benchmarks = json.loads(output)["benchmarks"]
        failed = [each["error_message"] for each in benchmarks if each.get("error_occurred")]
        if failed:
            raise RuntimeError(f"unwinder: {failed[0]}")
        return {each["name"]: each for each in benchmarks}

    results = environment.in_turn(rounds, ("all",), run, "unwinder")
    return [_figure(name, [each["all"][name] for each in results]) for name in results[0]["all"]]


def _figure(name: str, results: Sequence[dict]) -> figures.Figure:
    return figures.over_rounds(
        f"unwinder.{name.replace('/', '.')}",
        "ns",
        [each["cpu_time"] for each in results],
    )
