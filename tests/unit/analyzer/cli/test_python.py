# SPDX-License-Identifier: Apache-2.0
"""The options that say how stacks of an interpreter are shown, on a recording of one: each one's effect, and what
holds without it."""

import json
import re
import sys
from pathlib import Path

import pytest

from command import heapecho

PROGRAM = Path(__file__).resolve().parent / "answers_requests.py"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    directory = tmp_path_factory.mktemp("recordings")
    answer = heapecho("run", "--dir", directory, "--interval", "4K", "--", sys.executable, "-IS", PROGRAM,
                      PYTHONMALLOC="malloc")
    assert (answer.returncode, answer.stderr) == (0, "")
    return directory


def stacks(recordings, *words):
    """Stack by stack, root first: the frames, with bytes."""
    answer = heapecho("export", recordings, "--format", "folded", *words)
    assert (answer.returncode, answer.stderr) == (0, "")
    lines = [line.rsplit(" ", 1) for line in answer.stdout.splitlines()]
    return {tuple(stack.split(";")): int(amount) for stack, amount in lines}


def only(found):
    assert len(found) == 1, found
    return found[0]


def is_python(frame):
    return frame.endswith(".py)") or re.search(r"\.py:\d+\)$|\(<.*>\)$", frame) or frame == "[import]"


def line_of(text):
    return only([number for number, line in enumerate(PROGRAM.read_text().splitlines(), 1) if text in line])


def held_in(recordings, function, *words):
    """The stack of the block that `function` holds."""
    of_function = {stack: amount for stack, amount in stacks(recordings, *words).items()
                   if any(frame.startswith(function + " (answers_requests.py") for frame in stack)}
    return max(of_function, key=of_function.get)


def test_a_stack_leads_from_the_program_to_what_allocates_without_plumbing(recordings):
    stack = held_in(recordings, "orders")
    assert stack[:2] == ("<module> (answers_requests.py)", "main (answers_requests.py)")
    assert stack[2].endswith("run (handlers.py)")
    assert stack[3] == "orders (answers_requests.py)"
    assert len(stack) > 4 and not any(is_python(frame) for frame in stack[4:])
    assert not any("EvalFrame" in frame or "ectorcall" in frame for frame in stack)


def test_lines_are_shown_on_request(recordings):
    line = line_of("bytearray(300_000)")
    assert f"orders (answers_requests.py:{line})" in held_in(recordings, "orders", "--lines")


def test_native_none_leaves_python_frames_alone(recordings):
    for stack in stacks(recordings, "--native", "none"):
        if any(is_python(frame) for frame in stack):
            assert all(is_python(frame) for frame in stack), stack


def test_native_leaf_leaves_what_is_inside_of_the_innermost_python_frame(recordings):
    for stack in stacks(recordings, "--native", "leaf"):
        python = [bool(is_python(frame)) for frame in stack]
        assert python == sorted(python, reverse=True), stack


def test_each_choice_shows_the_same_bytes(recordings):
    amounts = [sum(stacks(recordings, *words).values())
               for words in ([], ["--native", "full"], ["--native", "leaf"], ["--native", "none"], ["--internals"])]
    assert max(amounts) - min(amounts) < 1000  # each stack's amount is rounded
    assert stacks(recordings) == stacks(recordings, "--native", "full")


def test_internals_shows_plumbing_and_import_machinery(recordings):
    plain, whole = stacks(recordings), stacks(recordings, "--internals")
    assert any("[import]" in stack for stack in plain)
    assert not any("(<frozen importlib" in frame for stack in plain for frame in stack)
    assert not any("[import]" in stack for stack in whole)
    assert any("(<frozen importlib._bootstrap>)" in frame for stack in whole for frame in stack)
    assert max(map(len, whole)) > max(map(len, plain))


def test_by_view_tells_requests_apart(recordings):
    by_view = {}
    for stack, amount in stacks(recordings, "--by", "view").items():
        by_view[stack[0]] = by_view.get(stack[0], 0) + amount
    place = f"({PROGRAM.parent.name}/answers_requests.py)"
    names = {re.sub(r"decorate\.<locals>\.", "", name) for name in by_view}
    views = {f"orders {place}", f"users {place}", "[no request]"}
    assert views <= names
    # What the server itself does for a request, before or after the view, is the server's.
    assert all(name.endswith("(wsgiref/handlers.py)") for name in names - views), names
    assert by_view[f"orders {place}"] >= 300_000
    assert by_view["[no request]"] >= 90_000_000


def test_the_report_ranks_the_applications_own_lines(recordings):
    text = heapecho("report", recordings).stdout
    own = text[text.index("Which lines of the application"):text.index("Who allocated it")]
    first = own.splitlines()[2]
    assert first.strip() == f"main cli/answers_requests.py:{line_of('90_000_000')}"


def test_json_names_function_file_and_line(recordings):
    report = json.loads(heapecho("report", "--json", recordings).stdout)
    recording = only(report["recordings"])
    assert recording["python"] == {"version": "%d.%d.%d" % sys.version_info[:3], "walk": "full",
                                   "domain": "hooked"}
    frames = report["sites"][0]["frames"]
    innermost = next(frame for frame in frames if frame["kind"] == "python")
    assert innermost == {"kind": "python", "function": "main", "file": str(PROGRAM), "line": line_of("90_000_000")}
