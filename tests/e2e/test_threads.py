# SPDX-License-Identifier: Apache-2.0
"""Threads: how many there were, what they are called, and that those which do the same work are one group."""

import json
import sys

import harness

# Blocks of 50,000 bytes and more are sampled but for e^-25; smaller objects leave room for their stacks.
INTERVAL = 2000

# The main thread, one more, and one that has been joined and that the kernel still counts for a moment.
ONE_AFTER_THE_OTHER = (2, 3)

# Says its truth: how many threads there were at once, and what each kind holds.
KINDS = """
import concurrent.futures, ctypes, os, sys, threading
prctl = ctypes.CDLL(None).prctl
kept = []
def worker_loop(barrier):
    kept.append(bytearray(100_000))
    barrier.wait()
def sweep(barrier):
    prctl(15, b"sweeper", 0, 0, 0)
    kept.append(bytearray(200_000))
    for _ in range(2000):  # the name came after the first sample: it is asked for again
        bytearray(5000)
    barrier.wait()
def handle(n):
    kept.append(bytearray(50_000))
    pool.wait()
at_once = threading.Barrier(31 + 1)
pool = threading.Barrier(4)
threads = [threading.Thread(target=worker_loop, args=(at_once,)) for _ in range(30)]
threads.append(threading.Thread(target=sweep, args=(at_once,)))
[thread.start() for thread in threads]
at_once.wait()
[thread.join() for thread in threads]
with concurrent.futures.ThreadPoolExecutor(4) as executor:
    list(executor.map(handle, range(8)))
sys.stdout.flush()
os.kill(os.getpid(), 9)
"""

FORKS = """
import os, threading
kept = [bytearray(300_000)]
def loop():
    kept.append(bytearray(100_000))
threads = [threading.Thread(target=loop) for _ in range(20)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
if os.fork() == 0:
    kept.append(bytearray(100_000))
    thread = threading.Thread(target=loop)
    thread.start()
    thread.join()
    os.kill(os.getpid(), 9)
os.wait()
os.kill(os.getpid(), 9)
"""


def by_thread(*paths) -> dict:
    """The report by thread, its shares by the name of the group without the process."""
    done = harness.execute([harness.COMMAND, "report", "--json", "--by", "thread", *paths], harness.plain_environment())
    assert done.returncode == 0, done.stderr.decode()
    parsed = json.loads(done.stdout)
    parsed["groups"] = {share["name"].split(" / ", 1)[1]: share["bytes"] for share in parsed["shares"]}
    return parsed


def test_of_one_kind_are_one_group_with_a_count(directory):
    done = harness.execute([sys.executable, "-c", KINDS], harness.recording_environment(directory, INTERVAL))
    assert done.returncode == -9, done.stderr.decode()
    parsed = by_thread(harness.only_recording(directory))
    groups = parsed["groups"]
    assert groups["worker_loop (<string>), 30 threads"] >= 30 * 100_000
    assert groups["handle (<string>), 4 threads"] >= 8 * 50_000
    (sweeper,) = [name for name in groups if name.startswith("sweeper, thread ")]
    assert 200_000 <= groups[sweeper] < 300_000
    assert "main thread" in groups
    threads = parsed["recordings"][0]["threads"]
    # All of the first 31 stand at the barrier while the last of them samples.
    assert threads["seen"] == 1 + 31 + 4
    assert threads["at_most"] == 1 + 31


def test_of_a_forked_child_are_its_own(directory):
    done = harness.execute([sys.executable, "-c", FORKS], harness.recording_environment(directory, INTERVAL))
    assert done.returncode == -9, done.stderr.decode()
    parent, child = sorted(harness.recordings(directory), key=lambda path: harness.report(path)["recordings"][0]["pid"])
    of_child = by_thread(child)
    assert of_child["recordings"][0]["threads"] == {"seen": 2, "at_most": 2}
    dumped = harness.execute([harness.COMMAND, "dump", child], harness.plain_environment()).stdout
    assert dumped.count(b"\nthread id=") == 2, "the parent's threads are not the child's"
    assert of_child["groups"]["[before the fork]"] >= 300_000 + 20 * 100_000
    assert of_child["groups"]["main thread"] >= 100_000
    (loop,) = [name for name in of_child["groups"] if name.startswith("loop (<string>), thread ")]
    assert of_child["groups"][loop] >= 100_000
    both = by_thread(parent, child)
    assert "[before the fork]" not in both["groups"]  # they are the parent's, whose threads are known
    assert both["groups"]["loop (<string>), 20 threads"] >= 20 * 100_000


def test_that_ended_before_the_file_began_are_in_it(directory):
    """A process that keeps no short recordings begins its file at its first MiB, or after a second."""
    environment = harness.recording_environment(directory, 1, HEAPECHO_SHORT="drop")
    done = harness.execute([harness.program("named_threads"), 20, 1], environment)
    assert done.returncode == -9, done.stderr.decode()
    parsed = by_thread(harness.only_recording(directory))
    assert parsed["groups"]["early, 20 threads"] == 20 * 500
    threads = parsed["recordings"][0]["threads"]
    assert threads["seen"] == 21 and threads["at_most"] in ONE_AFTER_THE_OTHER
    assert parsed["recordings"][0]["drops"]["threads_dropped"] == 0


def test_that_a_recording_has_no_room_for_are_counted(directory):
    threads = 700
    environment = harness.recording_environment(directory, 1, HEAPECHO_BUDGET="4MiB")
    done = harness.execute([harness.program("named_threads"), threads], environment)
    assert done.returncode == 0, done.stderr.decode()
    parsed = by_thread(harness.only_recording(directory))
    (recording,) = parsed["recordings"]
    assert recording["threads"]["seen"] == threads + 1
    dropped = recording["drops"]["threads_dropped"]
    assert 0 < dropped < threads
    groups = parsed["groups"]
    (unnamed,) = [name for name in groups if "Run(void*)" in name]  # by their entry function
    assert unnamed.endswith(f", {dropped} threads") and groups[unnamed] == dropped * 500
    assert groups[f"early, {threads - dropped} threads"] == (threads - dropped) * 500


def test_that_come_and_go_with_each_request_are_a_finding(directory):
    """As many as Django's runserver makes, one after the other."""
    done = harness.execute([harness.program("named_threads"), 300, 0], harness.recording_environment(directory, 1))
    assert done.returncode == 0, done.stderr.decode()
    (finding,) = harness.report(harness.only_recording(directory))["findings"]
    assert finding["rule"] == "thread_per_request"
    assert finding["evidence"]["threads_seen"] == 301
    assert finding["evidence"]["threads_at_most"] in ONE_AFTER_THE_OTHER
