# SPDX-License-Identifier: Apache-2.0
"""Builds of CPython beside the usual one: those with a JIT are walked as any, those without a GIL are named and left alone."""

from collections import Counter
from pathlib import Path

import pytest

import harness
import interpreters

HOT = Path(__file__).parent / "builds" / "hot.py"
MARKS = ("inner", "calls", "hot", "runs")

WORK = """
import ctypes, json, threading
def work(n):
    return len(json.dumps([{"n": k, "text": "x" * k} for k in range(n)]))
threads = [threading.Thread(target=work, args=(200,)) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(work(1000), ctypes.CDLL(None).malloc(10_000_000) != 0)
"""


def has_jit(interpreter: interpreters.Interpreter) -> bool:
    asked = "import sys; sys.exit(not (hasattr(sys, '_jit') and sys._jit.is_available()))"
    return harness.execute([interpreter.path, "-c", asked], harness.plain_environment()).returncode == 0


def those_or_a_skip(found: list, lacking: str) -> list:
    return found or [pytest.param(None, marks=pytest.mark.skip(reason=f"no CPython {lacking} at hand"))]


@pytest.mark.parametrize("interpreter", those_or_a_skip([one for one in interpreters.FOUND if has_jit(one)], "with a JIT"),
                         ids=str)
def test_stacks_through_code_that_a_jit_made_are_whole(interpreter, directory, capsys):
    line = {mark: number for number, text in enumerate(HOT.read_text().splitlines(), 1) for mark in MARKS
            if text.endswith(f"# {mark}")}
    outside = [("hot", line["calls"]), ("<module>", line["runs"])]
    wanted = {(("inner", line["inner"]), *outside): 60, (("hot", line["hot"]), outside[1]): 60}
    done = harness.execute([interpreter.path, HOT], harness.recording_environment(directory, 2000, PYTHON_JIT="1"))
    assert done.returncode == -9, done.stderr.decode()[-2000:]
    ran_there = int(done.stdout)
    assert ran_there > 0, "the JIT compiled what should be looked at"
    seen: Counter = Counter()
    for site in harness.report(*harness.recordings(directory))["sites"]:
        stack = tuple((frame["function"], frame["line"]) for frame in site["frames"] if frame["kind"] == "python")
        if stack in wanted and site["bytes"] >= 50_000:  # each is sampled but for e^-25
            seen[stack] += site["objects"]
            assert not any(frame["function"] == "[stack broken]" for frame in site["frames"])
    assert seen == wanted
    with capsys.disabled():
        print(f"\nNote: {interpreter}: {ran_there} of 60,000 calls came from code that the JIT made")


@pytest.mark.parametrize("interpreter", those_or_a_skip(interpreters.FREE_THREADED, "without a GIL"), ids=str)
def test_an_interpreter_without_a_gil_is_named_and_left_alone(interpreter, directory):
    without = harness.execute([interpreter.path, "-c", WORK], harness.plain_environment())
    done = harness.execute([interpreter.path, "-c", WORK], harness.recording_environment(directory, 1024))
    assert (done.returncode, done.stdout, done.stderr) == (0, without.stdout, without.stderr)
    parsed = harness.report(*harness.recordings(directory), value="allocated")
    (python,) = [recording["python"] for recording in parsed["recordings"] if "python" in recording]
    assert python["walk"] == "native-only" and "free-threaded" in python["reason"]
    assert python["domain"] == "not hooked"
    assert not any(frame["kind"] == "python" for site in parsed["sites"] for frame in site["frames"])
    # What is asked of malloc is seen; objects of any size come from the interpreter's own allocator.
    assert sum(site["bytes"] for site in parsed["sites"]) >= 10_000_000
