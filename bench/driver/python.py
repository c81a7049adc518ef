# SPDX-License-Identifier: Apache-2.0
"""What Python programs pay: a walk of their frames, their small objects unsampled, whole scripts of allocation."""

import json
import os
import pathlib
import shutil
from collections.abc import Sequence

from driver import callgrind, environment, figures

_HERE = pathlib.Path(__file__).resolve().parents[1] / "python"

PARTS = ("instructions", "walk", "tasks", "scripts")

FRAMES = 25
_BATCHES = 4000
_TASK_BATCHES = 100

# Few enough that none of them is sampled, and exact all the same: what a run costs beside its pairs is the same
# with and without.
_PAIRS = 1000
# The first is what an object costs, of each interpreter; the others are looked at in one.
_CALLS = tuple((domain, kind) for domain in ("PyObject", "PyMem") for kind in ("malloc_free", "calloc_free", "realloc"))

_SCRIPTS = ("json", "lists", "dicts", "classes")


def measure(
    build: environment.Build, rounds: int, only: str | None, parent: pathlib.Path | None
) -> list[figures.Figure]:
    """Figures python.walk.…, python.instructions.…, python.task.… and python.scripts.…, see bench/README.md; `only`: one of PARTS.

    Raises:
        environment.Unmeasurable: an interpreter, valgrind, a program or a library is missing.
        RuntimeError: a run failed, or heapecho did not record it.
    """
    found = []
    for number, interpreter in enumerate(interpreters()):
        version = _version(interpreter)
        if only in (None, "instructions"):
            calls = _CALLS if number == 0 else _CALLS[:1]
            found += _instructions(build, interpreter, version, calls, parent)
        if only in (None, "walk"):
            found.append(_walk(build, interpreter, version, rounds))
    if only in (None, "tasks"):
        found.append(_tasks(build, interpreters()[0], rounds, parent))
    if only in (None, "scripts"):
        found += _scripts(build, interpreters()[0], rounds, parent)
    return found


def interpreters() -> list[pathlib.Path]:
    """Debian's first, then pyenv's. Raises Unmeasurable when there is none."""
    found = [pathlib.Path("/usr/bin/python3")]
    for root in sorted({pathlib.Path.home() / ".pyenv", pathlib.Path(os.environ.get("PYENV_ROOT", "/nowhere"))}):
        found += [path for path in sorted((root / "versions").glob("3.*/bin/python3")) if _is_recent(path)]
    found = [path for path in found if path.exists()]
    if not found:
        raise environment.Unmeasurable("no Python interpreter is here")
    return found


def _is_recent(interpreter: pathlib.Path) -> bool:
    return int(interpreter.parents[1].name.split(".")[1]) >= 8


def _version(interpreter: pathlib.Path) -> str:
    return environment.output_of(
        [interpreter, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"], os.environ
    ).strip()


def _instructions(
    build: environment.Build,
    interpreter: pathlib.Path,
    version: str,
    calls: Sequence[tuple[str, str]],
    parent: pathlib.Path | None,
) -> list[figures.Figure]:
    if shutil.which("valgrind") is None:
        raise environment.Unmeasurable("valgrind is not installed")
    found = []
    for domain, kind in calls:
        environment.progress(f"instructions of {domain}'s {kind} in Python {version}")
        counts = {
            variant: _count(build, interpreter, variant, domain, kind, parent)
            for variant in (environment.NOTHING, environment.HEAPECHO)
        }
        more = counts[environment.HEAPECHO] - counts[environment.NOTHING]
        name = f"python.instructions.{domain}.{kind}.{version}.heapecho_over_nothing"
        found.append(figures.over_rounds(name, "instructions", [more], counts))
    environment.progress("")
    return found


def _count(
    build: environment.Build,
    interpreter: pathlib.Path,
    variant: str,
    domain: str,
    kind: str,
    parent: pathlib.Path | None,
) -> float:
    """Instructions a pair, the loop around it included."""

    def check(recording: dict) -> None:
        if recording["python"].get("domain") != "hooked":
            raise RuntimeError(f"{interpreter}'s allocator is not hooked: {recording['python']}")

    command = [interpreter, "-S", _HERE / "pairs.py", build.program("libbench_python_calls.so"), domain, kind, str(_PAIRS)]
    extra = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    return callgrind.count(build, variant, "glibc", command, parent, extra, check) / _PAIRS


def _walk(build: environment.Build, interpreter: pathlib.Path, version: str, rounds: int) -> figures.Figure:
    library = build.program("libbench_python_walk.so")

    def run(_: str) -> dict[str, float]:
        output = environment.output_of([interpreter, _HERE / "walk.py", library, FRAMES, _BATCHES], os.environ)
        return json.loads(output)

    results = [each["walk"] for each in environment.in_turn(rounds, ("walk",), run, f"walk in Python {version}")]
    return figures.over_rounds(
        f"python.walk.{FRAMES}.{version}.median",
        "ns",
        [each["median"] for each in results],
        {"p99_ns": max(each["p99"] for each in results)},
    )


def _tasks(
    build: environment.Build, interpreter: pathlib.Path, rounds: int, parent: pathlib.Path | None
) -> figures.Figure:
    """What following a task to who handed it over adds to handing it over."""
    library = build.program("libbench_arrow_like.so")

    def run(arrow: str) -> float:
        with environment.recordings_directory(parent) as recordings:
            output = environment.output_of(
                [interpreter, _HERE / "tasks.py", library, FRAMES, _TASK_BATCHES],
                environment.variables(build, environment.HEAPECHO, "glibc", recordings, None) | {"HEAPECHO_ARROW": arrow},
            )
            (recording,) = environment.report(build, recordings)["recordings"]
            said = recording["arrow"][0]["state"]
            if (said == "recorded") != (arrow == "auto") or recording["drops"]["tasks_not_followed"] != 0:
                raise RuntimeError(f"heapecho did not follow the tasks: {said}")
            return json.loads(output)["median"]

    results = environment.in_turn(rounds, ("auto", "pools"), run, "tasks handed over")
    return figures.over_rounds(
        f"python.task.{FRAMES}.followed_over_not",
        "ns",
        [each["auto"] - each["pools"] for each in results],
        {"not_ns": sorted(each["pools"] for each in results)[len(results) // 2]},
    )


def _scripts(
    build: environment.Build, interpreter: pathlib.Path, rounds: int, parent: pathlib.Path | None
) -> list[figures.Figure]:
    found = []
    for script in _SCRIPTS:

        def run(variant: str, script: str = script) -> float:
            with environment.recordings_directory(parent) as recordings:
                seconds = environment.output_of(
                    [interpreter, _HERE / "scripts.py", script],
                    environment.variables(build, variant, "glibc", recordings, None) | {"PYTHONHASHSEED": "0"},
                )
                if variant == environment.HEAPECHO:
                    (recording,) = environment.report(build, recordings)["recordings"]
                    if recording["domains"].get("python", {}).get("allocated", {}).get("bytes", 0) == 0:
                        raise RuntimeError(f"heapecho recorded no small objects of {script}")
                return float(seconds)

        results = environment.in_turn(
            rounds, (environment.NOTHING, environment.HEAPECHO), run, f"python script: {script}"
        )
        found.append(_script_figure(script, results))
    return found


def _script_figure(script: str, results: Sequence[dict[str, float]]) -> figures.Figure:
    ratios = [each[environment.HEAPECHO] / each[environment.NOTHING] for each in results]
    nothing = [each[environment.NOTHING] for each in results]
    return figures.over_rounds(
        f"python.scripts.{script}.heapecho_over_nothing",
        "x",
        ratios,
        # What runs of one variant differ by among themselves is what a ratio near one may be off by.
        {"nothing_s": sorted(nothing)[len(nothing) // 2], "nothing_spread_x": max(nothing) / min(nothing)},
    )
