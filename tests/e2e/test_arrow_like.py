# SPDX-License-Identifier: Apache-2.0
"""Libraries that look as Arrow does (tests/programs/arrow_like.cc): what the real one does too rarely to be tested."""

import shutil
import signal
import sys
from pathlib import Path

import pytest

import harness

INTERVAL = 256  # the smallest block that is asked about escapes being sampled with e^-19

DRIVER = """
import ctypes, os, signal, sys, _ctypes
class Like:
    def __init__(self, path):
        library = ctypes.CDLL(path)
        self.handle = library._handle
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        def function(name, result, *arguments):
            found = getattr(library, name)
            found.restype, found.argtypes = result, arguments
            return found
        self.allocate = function("like_allocate", pointer, number)
        self.reallocate = function("like_reallocate", pointer, pointer, number, number)
        self.free = function("like_free", None, pointer, number)
        self.bytes = function("like_bytes", number)
        self.spawn = function("like_spawn", None, number, ctypes.c_int, ctypes.c_int)
        self.join = function("like_join", None)
def die():
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
paths = sys.argv[1:]
"""


def run(code: str, *libraries: Path, directory: Path, interval: int = INTERVAL, **extra: str):
    """Runs `code` until it kills itself; returns its output and the report."""
    done = harness.execute([sys.executable, "-c", DRIVER + code, *libraries],
                           harness.recording_environment(directory, interval, **extra))
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return done.stdout.decode(), harness.report(*harness.recordings(directory))


def shape(name: str) -> Path:
    return harness.program(f"arrow_{name}.so")


def live_of(parsed: dict) -> float:
    return sum(recording["domains"]["arrow"]["live"]["bytes"] for recording in parsed["recordings"]
               if "arrow" in recording["domains"])


def states(parsed: dict) -> dict:
    """What is said of each library, by its file's name."""
    return {library["library"]: (library["state"], library.get("reason"))
            for recording in parsed["recordings"] for library in recording["arrow"]}


def of(parsed: dict, kind: str, function: str, domain: str = "arrow") -> float:
    """Bytes of the stacks that have such a frame."""
    return sum(site["bytes"] for site in parsed["sites"] if site["domain"] == domain
               and any(frame["kind"] == kind and frame["function"] == function for frame in site["frames"]))


BLOCKS = """
like = Like(paths[0])
def kept():
    for size in (5000, 6000, 700000):
        assert like.allocate(size)
def moved():
    assert like.reallocate(like.allocate(5000), 5000, 90000)
def refused():
    block = like.allocate(8000)
    assert like.reallocate(block, 8000, 1 << 50) == block
    assert not like.allocate(1 << 50)
def dropped():
    like.free(like.allocate(9000), 9000)
    block = like.allocate(9000)
    assert like.reallocate(block, 9000, 1 << 50) == block
    like.free(block, 9000)
kept(), moved(), refused(), dropped()
print(like.bytes())
die()
"""


@pytest.mark.parametrize("name", ["plain", "old"])
def test_blocks_are_counted_once_where_they_are_had_moved_and_refused(name, directory):
    output, parsed = run(BLOCKS, shape(name), directory=directory)
    assert live_of(parsed) == int(output) == 711000 + 90000 + 8000
    assert of(parsed, "python", "kept") == 711000
    assert of(parsed, "python", "moved") == 90000
    assert of(parsed, "python", "refused") == 8000
    assert of(parsed, "python", "dropped") == 0
    assert of(parsed, "python", "kept", "malloc") < 5000
    assert states(parsed) == {f"arrow_{name}.so": ("recorded", None)}


def test_what_a_pool_asks_malloc_for_is_not_counted_again(directory):
    """At an interval that most blocks escape: a point falls on a pool's block or on none, never on malloc's below.

    Some 600 samples are expected; one of malloc's for each of them would be all of the bytes.
    """
    code = "like = Like(paths[0])\ndef kept():\n  for _ in range(20000): like.allocate(2000)\nkept()\ndie()\n"
    _, parsed = run(code, shape("plain"), directory=directory, interval=65536)
    assert live_of(parsed) == pytest.approx(40e6, rel=0.25)
    assert of(parsed, "python", "kept", "malloc") < 2e6


@pytest.mark.parametrize("name, reason", [
    ("no_pools", "no memory pools are found in it"),
    ("other_pools", "the functions of a memory pool are not those that are known"),
])
def test_a_shape_that_is_not_known_is_left_alone_and_said_so(name, reason, directory):
    _, parsed = run("like = Like(paths[0])\ndef kept():\n  like.allocate(5000)\nkept()\ndie()\n", shape(name),
                    directory=directory)
    assert states(parsed) == {f"arrow_{name}.so": ("not recorded", reason)}
    assert live_of(parsed) == 0
    assert of(parsed, "python", "kept", "malloc") >= 5000
    assert any(reason in warning for warning in parsed["warnings"])


TASKS = """
like = Like(paths[0])
def plain(): like.spawn(5000, 0, 0)
def nested(): like.spawn(60000, 3, 0)
def throwing(): like.spawn(700000, 0, 1)
def nested_throwing(): like.spawn(8000000, 2, 1)
def hand_over():
    plain(), throwing(), nested(), throwing(), nested_throwing(), plain()
hand_over()
like.join()
die()
"""


def test_what_a_task_allocates_is_its_submitter_s_through_nesting_and_exceptions(directory):
    _, parsed = run(TASKS, shape("plain"), directory=directory)
    assert of(parsed, "behalf", "plain") == 10000
    assert of(parsed, "behalf", "nested") == 60000
    assert of(parsed, "behalf", "throwing") == 1400000
    assert of(parsed, "behalf", "nested_throwing") == 8000000
    assert of(parsed, "behalf", "hand_over") == 9470000
    # Eleven tasks: behind each the thread is its own again, however the task ended.
    assert of(parsed, "native", "site_between_tasks") == 11 * 6000
    between = [site for site in parsed["sites"]
               if any(frame["function"] == "site_between_tasks" for frame in site["frames"])]
    assert between and all(frame["kind"] == "native" for site in between for frame in site["frames"])
    assert not any(frame.get("module") == "libheapecho.so" for site in parsed["sites"] for frame in site["frames"])


def test_tasks_of_a_shape_that_is_not_known_are_left_alone_and_said_so(directory):
    _, parsed = run(TASKS, shape("other_tasks"), directory=directory)
    assert states(parsed)["arrow_other_tasks.so"] == (
        "recorded, not whose work its threads do", "the thread pool's function is not the one that is known")
    assert of(parsed, "native", "site_in_task") == 9470000
    assert of(parsed, "behalf", "hand_over") == 0


def test_tasks_beyond_what_is_followed_run_and_are_counted(directory):
    count = 12000
    _, parsed = run(f"like = Like(paths[0])\nfor _ in range({count}): like.spawn(5000, 0, 0)\nlike.join()\ndie()\n",
                    shape("plain"), directory=directory)
    lost = parsed["recordings"][0]["drops"]["tasks_not_followed"]
    assert of(parsed, "native", "site_in_task") == pytest.approx(count * 5000, rel=0.05)
    assert 0 < lost < count
    assert of(parsed, "behalf", "<module>") == pytest.approx((count - lost) * 5000, rel=0.05)


def test_two_copies_at_once_are_both_recorded(directory):
    code = """
first, second = Like(paths[0]), Like(paths[1])
def by_first(): first.allocate(5000)
def by_second(): second.allocate(60000); second.spawn(700000, 0, 0); second.join()
by_first(), by_second()
die()
"""
    _, parsed = run(code, shape("plain"), shape("copy"), directory=directory)
    assert states(parsed) == {f"arrow_{name}.so": ("recorded", None) for name in ("plain", "copy")}
    assert of(parsed, "python", "by_first") == 5000
    assert of(parsed, "python", "by_second") == 60000
    assert of(parsed, "behalf", "by_second") == 700000


def test_one_copy_too_many_is_left_alone_and_said_so(directory, tmp_path):
    copies = [Path(shutil.copy(shape("plain"), tmp_path / f"copy_{i}.so")) for i in range(5)]
    code = "likes = [Like(path) for path in paths]\ndef kept():\n  for like in likes: like.allocate(5000)\nkept()\ndie()\n"
    _, parsed = run(code, *copies, directory=directory)
    said = states(parsed)
    assert said.pop("copy_4.so") == ("not recorded", "too many copies of Arrow")
    assert said == {f"copy_{i}.so": ("recorded", None) for i in range(4)}
    assert of(parsed, "python", "kept") == 4 * 5000


def test_one_that_goes_and_comes_back_is_recorded_again(directory):
    rounds = 50
    code = f"""
def kept(like): like.allocate(5000)
def dropped(like): like.free(like.allocate(6000), 6000)
for turn in range({rounds}):
    like = Like(paths[turn % 2])
    kept(like), dropped(like)
    if turn % 3 == 0:
        like.spawn(5000, 0, 0), like.join()
    _ctypes.dlclose(like.handle)
    assert not any("arrow_" in line for line in open("/proc/self/maps")), "it has gone"
die()
"""
    _, parsed = run(code, shape("plain"), shape("copy"), directory=directory)
    assert of(parsed, "python", "kept") == rounds * 5000
    assert of(parsed, "python", "dropped") == 0
    assert of(parsed, "behalf", "<module>") == -(-rounds // 3) * 5000
    assert set(states(parsed).values()) == {("recorded", None)}


def test_a_forked_child_s_blocks_and_tasks_are_its_own(directory):
    code = """
like = Like(paths[0])
def in_parent(): like.allocate(5000)
def in_child():
    like.allocate(60000)
    like.spawn(700000, 0, 0)
    like.join()
in_parent()
if os.fork() == 0:
    in_child()
    die()
os.wait()
die()
"""
    _, parsed = run(code, shape("plain"), directory=directory)
    assert len(parsed["recordings"]) == 2
    assert of(parsed, "python", "in_parent") == 5000
    assert of(parsed, "python", "in_child") == 60000
    assert of(parsed, "behalf", "in_child") == 700000


def test_one_that_is_there_from_the_start_is_recorded(directory):
    """As in a program that is linked to it."""
    _, parsed = run("like = Like(paths[0])\ndef kept():\n  like.allocate(5000)\nkept()\ndie()\n", shape("plain"),
                    directory=directory, LD_PRELOAD=f"{harness.LIBRARY}:{shape('plain')}")
    assert states(parsed) == {"arrow_plain.so": ("recorded", None)}
    assert of(parsed, "python", "kept") == 5000
