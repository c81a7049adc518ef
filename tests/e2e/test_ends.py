# SPDX-License-Identifier: Apache-2.0
"""How processes ended, as their parents and those who sent them signals knew; and that nobody notices being watched."""

import json
import os
import random
import re
import signal
import subprocess

import pytest

import harness
import wire

HELD = 8 << 20  # what each child of child_ends touches


def workers(*paths) -> dict:
    done = harness.execute([harness.COMMAND, "workers", "--json", *paths], harness.plain_environment())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_pid(parsed: dict) -> dict[int, dict]:
    return {row["pid"]: row for row in parsed["recordings"]}


def test_each_way_to_end_is_told_by_each_way_to_wait(directory):
    command = [harness.program("child_ends")]
    plain = harness.execute(command, harness.plain_environment())
    done = harness.execute(command, harness.recording_environment(directory, 4096))
    assert plain.returncode == done.returncode == 0, (plain.stderr, done.stderr)
    assert harness.without_pids(done.stdout) == harness.without_pids(plain.stdout)
    said = harness.json_lines(done.stdout)
    assert len(said) == 7 * 5
    seen = by_pid(harness.report(directory))
    for child in said:
        row = seen[child["pid"]]
        where = f"{child['way']}, {child['waiter']}: {row}"
        if child["signal"]:
            assert (row["end"], row["signal"]) == ("killed", child["signal"]), where
        else:
            assert (row["end"], row["exit_status"]) == ("exited", child["status"]), where
        assert row["oom_kill"] == "no", where
        if child["waiter"] != "waitid":  # which does not tell: what is known is the child's own last look
            assert HELD < row["memory"]["peak_rss_bytes"] < 10 * HELD, where
        if child["way"] not in ("exit", "crash"):
            sent = signal.Signals(child["signal"]).name
            assert f"its parent child_ends {row['ppid']} sent {sent}" in row["end_evidence"], where
        elif child["way"] == "crash":
            assert "sent" not in row["end_evidence"] and "was told of SIGSEGV" in row["end_evidence"], where
    (group,) = workers(directory)["workers"]
    assert {row["pid"] for row in group["generations"]} == {child["pid"] for child in said}


def test_waits_stay_cancellation_points(directory):
    command = [harness.program("waits_cancelled")]
    plain = harness.execute(command, harness.plain_environment())
    done = harness.execute(command, harness.recording_environment(directory, 1))
    assert plain.returncode == done.returncode == 0, (plain.stderr, done.stderr)
    assert done.stdout == plain.stdout
    said = harness.json_lines(done.stdout)
    assert len(said) == 5
    assert all(line["cancelled"] for line in said)
    # wait3 and wait4 are declared to throw nothing: there compilers leave the handlers out, preload or not.
    others = [line for line in said if line["wait"] not in ("wait3", "wait4")]
    assert all(line["cleaned"] == line["destroyed"] == 1 for line in others)


@pytest.mark.parametrize("interval", [1, 4096])
def test_a_process_may_reap_in_a_signal_handler(interval, directory):
    children = 40
    done = harness.execute([harness.program("reaps_in_handler"), children],
                           harness.recording_environment(directory, interval))
    assert done.returncode == 0, (done.stdout, done.stderr)
    (dump,) = [harness.execute([harness.COMMAND, "dump", path], harness.plain_environment()).stdout.decode()
               for path in harness.recordings(directory) if wire.Recording(path).header.parent_id == bytes(16)]
    reaped = re.findall(r"^reaped pid=(\d+) .* exit_status=(-?\d+) signal=(\d+)", dump, re.MULTILINE)
    assert len({pid for pid, _, _ in reaped}) == len(reaped) == children, "each end is known once"
    assert sum(number == "9" for _, _, number in reaped) == children // 2
    sent = re.findall(r"^sent signal=9 pid=(\d+) .* failed=no", dump, re.MULTILINE)
    assert sorted(sent) == sorted(pid for pid, _, number in reaped if number == "9")


IDLE_MASTER = """
import os, signal, sys
end = sys.argv[1]
child = os.fork()
if child == 0:
    held = bytearray(400 << 20)  # not sampled with odds of e^-25
    os.kill(os.getpid(), signal.SIGKILL) if end == "kill" else os._exit(0)
os.waitpid(child, 0)
os.write(1, str(child).encode())
"""


@pytest.mark.parametrize("end, begins", [("kill", True), ("exit", False)])
def test_a_killed_child_begins_the_recording_of_an_idle_parent(end, begins, directory):
    # At the largest interval the parent itself has no sample, so nothing else begins its recording.
    environment = harness.recording_environment(directory, "16MiB", HEAPECHO_SHORT="drop")
    done = harness.execute(["/usr/bin/python3", "-S", "-c", IDLE_MASTER, end], environment)
    assert done.returncode == 0, done.stderr
    seen = by_pid(harness.report(directory)) if harness.recordings(directory) else {}
    masters = [row for pid, row in seen.items() if pid != int(done.stdout)]
    assert len(masters) == begins, seen
    if begins:
        assert masters[0]["end"] == "exited"
        assert seen[int(done.stdout)]["signal"] == signal.SIGKILL


def test_notice_writes_one_line_for_each_worker_that_was_killed(directory):
    command = [harness.program("child_ends")]
    for value in ("0", "1", "yes"):
        folder = directory / value
        folder.mkdir()
        environment = harness.recording_environment(folder, 4096, HEAPECHO_NOTICE=value)
        done = harness.execute(command, environment)
        said = done.stderr.decode().splitlines()
        if value == "yes":
            assert said == ["heapecho: HEAPECHO_NOTICE=yes is not understood; using 0"]
            continue
        # SIGTERM is how people end what they started: no line for those of killpg.
        assert len(said) == (25 if value == "1" else 0), said
        pids = {line["pid"]: line for line in harness.json_lines(done.stdout)}
        for line in said:
            told = re.fullmatch(r"heapecho: worker (\d+) killed by (SIG\w+)( of its parent)?(?: at [\d.]+( of [\d.]+)? [MG]iB)?; "
                                r"heapecho report (\S+)", line)
            assert told, line
            child = pids[int(told[1])]
            assert (" at " in line) == (child["waiter"] != "waitid"), "waitid does not tell how much it was"
            assert signal.Signals[told[2]] == child["signal"]
            assert bool(told[3]) == (child["way"] != "crash")
            (row,) = harness.report(told[5])["recordings"]
            assert row["pid"] == child["pid"], "the command shows that worker's recording"
    environment = harness.recording_environment(directory / "0", 4096)
    assert harness.execute(command, environment).stderr == b"", "0 is the default"


def test_notice_never_waits_for_a_reader(directory):
    """A full pipe as stderr: the lines are lost, the program goes on."""
    script = """
import fcntl, os, sys
reader, writer = os.pipe()
os.set_blocking(writer, False)
try:
    while True: os.write(writer, b"x" * 4096)
except BlockingIOError: pass
os.set_blocking(writer, True)
os.dup2(writer, 2)
os.execv(sys.argv[1], sys.argv[1:])
"""
    environment = harness.recording_environment(directory, 4096, HEAPECHO_NOTICE="1", HEAPECHO_ONLY="child_ends")
    done = harness.execute(["/usr/bin/python3", "-c", script, harness.program("child_ends")], environment)
    assert done.returncode == 0


NEVER_REAPS = """
import os, signal
def worker(end):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        held = bytearray(8 << 20)
        os.write(writer, b"r")
        end()
    os.read(reader, 1)
    return child
sent = worker(signal.pause)
os.kill(sent, signal.SIGKILL)
fell = worker(lambda: signal.raise_signal(signal.SIGKILL))
left = worker(lambda: os._exit(3))
os.waitid(os.P_PID, sent, os.WEXITED | os.WNOWAIT)
os.waitid(os.P_PID, fell, os.WEXITED | os.WNOWAIT)
os.waitid(os.P_PID, left, os.WEXITED | os.WNOWAIT)
print(sent, fell, left)
"""


def test_without_a_parents_word_the_senders_and_the_processs_own_count(directory):
    """A parent that never reaps: it only looks, which is no reaping."""
    done = harness.execute(["/usr/bin/python3", "-S", "-c", NEVER_REAPS], harness.recording_environment(directory, 4096))
    assert done.returncode == 0, done.stderr
    seen = by_pid(harness.report(directory))
    sent, fell, left = (seen[int(pid)] for pid in done.stdout.split())
    assert (sent["end"], sent["signal"], sent["oom_kill"]) == ("killed", signal.SIGKILL, "no")
    assert sent["end_evidence"].startswith("its parent ") and f" {sent['ppid']} sent SIGKILL" in sent["end_evidence"]
    assert fell["end"] == "killed" and "signal" not in fell, "nobody knows by what"
    assert (left["end"], left["exit_status"]) == ("exited", 3)


def test_a_clock_that_jumps_spoils_no_recording(directory):
    jumping = harness.program("jumping_clock.so")
    environment = harness.recording_environment(directory, 4096)
    environment["LD_PRELOAD"] += f":{jumping}"
    done = harness.execute([harness.program("child_ends")], environment)
    assert done.returncode == 0, done.stderr
    began = {wire.Recording(path).header.begin_realtime_ns // 1_000_000_000 for path in harness.recordings(directory)}
    assert max(began) - min(began) > 300 * 86400, "the clock did jump"
    parsed = harness.report(directory)
    assert parsed["warnings"] == []
    seen = by_pid(parsed)
    for child in harness.json_lines(done.stdout):
        row = seen[child["pid"]]
        assert row.get("signal", 0) == child["signal"] and row.get("exit_status", -1) == child["status"], row
    for command in ("workers", "report"):
        shown = harness.execute([harness.COMMAND, command, directory], harness.plain_environment())
        assert shown.returncode == 0, shown.stderr


def test_whatever_a_kill_of_the_whole_group_interrupts_every_recording_opens(directory):
    """It comes while a master forks under load: in the fork, in a child's first slow path, while a file begins."""
    generator = random.Random()
    for kill in range(60 if harness.FULL else 10):
        folder = directory / str(kill)
        folder.mkdir()
        process = subprocess.Popen([harness.program("fork_under_load"), "100000"], start_new_session=True,
                                   env=harness.recording_environment(folder, 1024), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        enough = generator.randrange(1, 20)
        try:
            while len(os.listdir(folder)) < enough:
                assert process.poll() is None, process.stderr.read()
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            _, errors = process.communicate()
        assert errors == b""
        files = harness.recordings(folder)
        for path in files:
            assert wire.Recording(path).broken_live == 0
        if files:
            parsed = harness.report(folder)
            assert len(parsed["recordings"]) == len(files) and parsed["warnings"] == [], parsed["warnings"]
            assert any(row["end"] == "killed" for row in parsed["recordings"])
