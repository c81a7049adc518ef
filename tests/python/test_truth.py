# SPDX-License-Identifier: Apache-2.0
"""The stack of a sampled block is the one that Python itself showed when the block was asked for.

truth/points.py says what is true; the recording is read by stacks.py, so that the preload library is judged alone.
"""

import json
from collections import defaultdict
from pathlib import Path

import pytest

import harness
import interpreters
import stacks
import wire

PROGRAM = Path(__file__).parent / "truth" / "points.py"
CHURN = Path(__file__).parent / "truth" / "churn.py"
MOST_FRAMES = 512  # of a stack; the innermost are kept
INTERVAL = 8192  # marked blocks are of 200,000 bytes and more: none escapes


def each_interpreter(test):
    return pytest.mark.parametrize("interpreter", interpreters.FOUND, ids=lambda interpreter: interpreter.name)(test)


def record(interpreter, program: Path, directory: Path, said: Path, interval: int, events: bool = False):
    """What `program` said and its recording; it kills itself when all is said."""
    assert harness.LIBRARY.exists(), f"{harness.LIBRARY} is not built (BUILD_DIR names the build directory)"
    # What the library is made of is compiled in a first run: else the recording is full of stacks of the compiler.
    extra = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "", "HEAPECHO_BUDGET": "512MiB",
             "PYTHONPYCACHEPREFIX": str(directory.parent / "compiled")}
    for environment in (harness.plain_environment(**extra),
                        harness.recording_environment(directory, interval, **extra)):
        done = harness.execute([interpreter.path, program, said], environment)
        assert done.returncode == -9, f"{interpreter}: {done.returncode} {done.stderr.decode()[-2000:]}"
    truth = json.loads(said.read_text())
    # A wrapper around the interpreter has left a recording too.
    found = [recording for path in harness.recordings(directory) for recording in [stacks.StackRecording(path, events)]
             if (recording.header.pid, recording.header.process_end) == (truth["pid"], wire.RUNNING)]
    assert len(found) == 1, f"{interpreter}: {[path.name for path in harness.recordings(directory)]}"
    assert found[0].counters.get("stacks_folded", 0) == 0, "the recording has room for all stacks"
    assert found[0].identity[stacks.PYTHON_WALK] == ["full"], f"{interpreter}: {found[0].identity}"
    return truth, found[0]


def as_recorded(frames: list) -> tuple:
    """What has no encoding in UTF-8 is replaced."""
    def text(value: str) -> str:
        return "".join("\N{REPLACEMENT CHARACTER}" if "\ud800" <= char <= "\udfff" else char for char in value)
    return tuple((text(name), text(file), line) for name, file, line in frames)


def blocks_by_number(recording, truth) -> dict[int, set[int]]:
    """{number of a marked block: the stacks it was seen with}, among live blocks and events of allocation."""
    found = defaultdict(set)
    events = [event for event in recording.events if event.kind == wire.ALLOCATE]
    for block in recording.live + events:
        for header in truth["headers"]:
            number, rest = divmod(block.size - truth["base"] - header, truth["step"])
            if number >= 0 and rest == 0:
                found[number].add(block.stack)
    return found


def difference(wanted: tuple, stack: stacks.Stack) -> str | None:
    """None when they are the same."""
    if stack.python == wanted or (stack.flags & stacks.TRUNCATED and len(stack.python) >= MOST_FRAMES and
                                  stack.python == wanted[:len(stack.python)]):
        return None
    for depth, (should, is_) in enumerate(zip(wanted, stack.python)):
        if should != is_:
            return f"frame {depth} of {len(wanted)} is {is_}, should be {should}"
    return f"{len(stack.python)} frames instead of {len(wanted)}"


@pytest.mark.parametrize("minor", range(interpreters.OLDEST[1], interpreters.NEWEST[1] + 1))
def test_an_interpreter_of_each_version_is_at_hand(minor, capsys):
    found = [one for one in interpreters.FOUND if one.version[:2] == (3, minor)]
    if not found:
        pytest.skip(f"no CPython 3.{minor} at hand: nothing here is shown for it")
    with capsys.disabled():
        print(*(f"\nNote: tested on CPython {one}" for one in found), sep="")


TABLES = """
import dis, json, sys, types, argparse, asyncio.tasks, collections, decimal, enum, inspect, pickle, typing
def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)
said = []
for module in (argparse, asyncio.tasks, collections, enum, inspect, pickle, typing):
    with open(module.__file__, encoding="utf-8") as file:
        for code in codes(compile(file.read(), module.__file__, "exec")):
            if sys.version_info >= (3, 10):
                lines = [list(entry) for entry in code.co_lines() if entry[0] != entry[1]]
            else:
                starts = [list(start) for start in dis.findlinestarts(code)]
                ends = [start[0] for start in starts[1:]] + [len(code.co_code)]
                lines = [[begin, end, line] for (begin, line), end in zip(starts, ends)]
            table = code.co_linetable if sys.version_info >= (3, 10) else code.co_lnotab
            said.append([table.hex(), code.co_firstlineno, len(code.co_code), lines])
json.dump(said, sys.stdout)
"""


@each_interpreter
def test_line_tables_are_read_as_the_interpreter_reads_them(interpreter):
    done = harness.execute([interpreter.path, "-c", TABLES], harness.plain_environment())
    assert done.returncode == 0, done.stderr
    kind = (stacks.LNOTAB if interpreter.version < (3, 10) else
            stacks.LINES if interpreter.version < (3, 11) else stacks.LOCATIONS)
    said = json.loads(done.stdout)
    assert len(said) > 500
    for table, first_line, size, lines in said:
        ranges = stacks.line_ranges(kind, bytes.fromhex(table), first_line)
        read = {at: line for begin, end, line in ranges for at in range(begin, min(end, size), 2)}
        assert read == {at: line for begin, end, line in lines for at in range(begin, end, 2)}


@each_interpreter
def test_each_stack_is_what_getframe_shows(interpreter, directory, tmp_path, capsys):
    truth, recording = record(interpreter, PROGRAM, directory, tmp_path / "said.json", INTERVAL, events=True)
    blocks = blocks_by_number(recording, truth)
    wrong = []
    frames = placed = recorded = 0
    for number, said in truth["truth"]:
        wanted = as_recorded(said)
        name, file, line = wanted[0]
        where = f"{name} ({file}:{line})"
        if len(blocks[number]) != 1:
            wrong.append(f"{where}: {len(blocks[number])} blocks with the size of number {number}")
            continue
        stack = recording.stack(next(iter(blocks[number])))
        frames += len(wanted)
        recorded += len(stack.python)
        placed += stack.in_groups
        differs = difference(wanted, stack)
        if differs is not None:
            wrong.append(f"{where}: {differs}")
        elif not stack.flags and stack.in_groups != len(stack.python):
            wrong.append(f"{where}: {len(stack.python) - stack.in_groups} of {len(stack.python)} frames have no place "
                         f"among the native ones")
        elif not stack.flags and stack.evaluations != sum(stack.entries):
            wrong.append(f"{where}: {stack.evaluations} evaluations for {sum(stack.entries)} groups")
    with capsys.disabled():
        print(f"\nNote: {interpreter}: {len(truth['points'])} points, {len(truth['truth'])} stacks, {frames} frames, "
              f"{len(wrong)} stacks wrong; {placed} of {recorded} frames have their place among native ones")
        for name, why in truth["missing"].items():
            print(f"  without the point {name}: {why}")
    assert len(truth["points"]) >= 80
    assert not wrong, f"{len(wrong)} of {len(truth['truth'])}:\n" + "\n".join(wrong[:40])


@each_interpreter
def test_no_stack_names_a_function_that_died(interpreter, directory, tmp_path, capsys):
    """Code objects that came to lie where others had lain used to be what the test fears: one taken for the other."""
    truth, recording = record(interpreter, CHURN, directory, tmp_path / "said.json", 3072)
    wrong = []
    seen = set()
    for block in recording.live:
        stack = recording.stack(block.stack)
        if not stack.python or "made" not in stack.python[0][0] + stack.python[0][1]:
            continue
        number = block.size - truth["base"]
        if not 0 <= number < len(truth["truth"]):
            continue  # an allocation on the way to the one that is marked
        seen.add(number)
        wanted = tuple(tuple(frame) for frame in truth["truth"][number])
        if stack.python != wanted:
            wrong.append(f"{number}: {difference(wanted, stack)}")
    with capsys.disabled():
        print(f"\nNote: {interpreter}: {len(truth['truth'])} functions made, {truth['places']} places of code, "
              f"{len(seen)} stacks compared, {len(wrong)} wrong")
    assert truth["places"] < len(truth["truth"]) / 2, "code objects took each other's places"
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:40])
    assert len(seen) == len(truth["truth"])
