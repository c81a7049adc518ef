# SPDX-License-Identifier: Apache-2.0
"""What the analyzer takes: the summary of a whole service's recordings, and its reader by itself."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from driver import environment, figures

# A directory that many short-lived workers wrote to, and processes that run in it while somebody watches.
_MANY = 200
_MANY_BLOCKS = 5_000
_MANY_STACKS = 8_000
_RUNNING = 8
_WATCHED_S = 20
_RUNNING_PROGRAM = """
import time
kept = [bytearray(3000) for _ in range(1000)]
while True:
    passing = [bytes(100000) for _ in range(50)]
    time.sleep(0.2)
"""

# A service of pre-forked workers, each with a well-filled recording.
_WORKERS = 32
_BLOCKS = 20_000
_STACKS = 1_000_000
_THREADS = 4


def measure(
    build: environment.Build, rounds: int, parent: pathlib.Path | None
) -> list[figures.Figure]:
    """Figures analyzer.report.seconds and analyzer.report.memory, those of _directory, and
    analyzer.READER_BENCHMARK in ms.

    The first is the elapsed time of `heapecho report` over all workers' recordings, the second its peak
    resident memory as a multiple of the largest recording's bytes on disk.

    Raises:
        environment.Unmeasurable: a program or library is missing.
        RuntimeError: a run failed.
    """
    program = build.program("own_memory")
    with environment.recordings_directory(parent) as recordings:
        for number in range(_WORKERS):
            environment.progress(f"analyzer: recording {number + 1} of {_WORKERS}")
            environment.output_of(
                [program, str(_BLOCKS), str(_STACKS), str(_THREADS), "0"],
                environment.variables(
                    build, environment.HEAPECHO, "glibc", recordings, environment.EVERYTHING
                ),
            )
        files = list(recordings.glob("*.heapecho"))
        if len(files) != _WORKERS:
            raise RuntimeError(f"{_WORKERS} processes left {len(files)} recordings")
        largest_kib = max(file.stat().st_blocks for file in files) / 2
        reports = environment.in_turn(
            rounds, ("report",), lambda _: _report(build, recordings), "analyzer: report"
        )
    seconds, cpu_seconds, kib = zip(*(each["report"] for each in reports))
    found = [
        figures.over_rounds(
            "analyzer.report.seconds", "s", seconds, {"cpu_s": statistics.median(cpu_seconds)}
        ),
        figures.over_rounds(
            "analyzer.report.memory",
            "x",
            [peak / largest_kib for peak in kib],
            {"largest_mib": largest_kib / 1024},
        ),
    ]
    return found + _directory(build, rounds, parent) + _reader(build, rounds)


def _directory(
    build: environment.Build, rounds: int, parent: pathlib.Path | None
) -> list[figures.Figure]:
    """analyzer.directory.seconds: of the report of a directory with many recordings.
    analyzer.top.cpu: CPU time of `heapecho top` over that directory as a share of one core, in %."""
    with environment.recordings_directory(parent) as recordings:
        recorded = environment.variables(
            build, environment.HEAPECHO, "glibc", recordings, environment.EVERYTHING
        )
        for number in range(_MANY):
            environment.progress(f"analyzer: recording {number + 1} of {_MANY}")
            environment.output_of(
                [build.program("own_memory"), str(_MANY_BLOCKS), str(_MANY_STACKS), "2", "0"], recorded
            )
        reports = environment.in_turn(
            rounds, ("report",), lambda _: _report(build, recordings), "analyzer: directory"
        )
        running = [
            subprocess.Popen([sys.executable, "-c", _RUNNING_PROGRAM], env=recorded)
            for _ in range(_RUNNING)
        ]
        try:
            shares = [_watch(build, recordings) for _ in range(rounds)]
        finally:
            for process in running:
                process.kill()
                process.wait()
    seconds, cpu_seconds, _ = zip(*(each["report"] for each in reports))
    return [
        figures.over_rounds(
            "analyzer.directory.seconds", "s", seconds, {"cpu_s": statistics.median(cpu_seconds)}
        ),
        figures.over_rounds("analyzer.top.cpu", "%", shares),
    ]


def _watch(build: environment.Build, recordings: pathlib.Path) -> float:
    """CPU time of `heapecho top`, start and first look included, in % of the time that it ran."""
    with tempfile.TemporaryFile() as page:
        start = time.perf_counter()
        process = subprocess.Popen(
            [build.analyzer, "top", recordings], stdin=subprocess.DEVNULL, stdout=page
        )
        time.sleep(_WATCHED_S)
        process.terminate()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        page.seek(0)
        looks = page.read().count(b"heapecho: ")
    if process.returncode != 0 or looks < _WATCHED_S / 2:
        raise RuntimeError(f"heapecho top: status {process.returncode}, {looks} looks")
    return 100 * (usage.ru_utime + usage.ru_stime) / seconds


def _report(build: environment.Build, recordings: pathlib.Path) -> tuple[float, float, int]:
    """Elapsed seconds, CPU seconds and peak resident KiB of one summary of all recordings."""
    with tempfile.TemporaryFile() as page:
        start = time.perf_counter()
        process = subprocess.Popen([build.analyzer, "report", recordings], stdout=page)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 or page.tell() == 0:
            raise RuntimeError(f"heapecho report ended with status {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def _reader(build: environment.Build, rounds: int) -> list[figures.Figure]:
    program = build.program("reader_benchmark")

    def run(_: str) -> dict[str, float]:
        output = environment.output_of(
            [program, "--benchmark_format=json", "--benchmark_min_time=0.2"], os.environ
        )
        benchmarks = json.loads(output)["benchmarks"]
        failed = [each["error_message"] for each in benchmarks if each.get("error_occurred")]
        if failed:
            raise RuntimeError(f"reader_benchmark: {failed[0]}")
        return {each["name"]: each["cpu_time"] for each in benchmarks}

    results = environment.in_turn(rounds, ("all",), run, "analyzer: reader")
    return [
        figures.over_rounds(f"analyzer.{name}", "ms", [each["all"][name] for each in results])
        for name in results[0]["all"]
    ]
