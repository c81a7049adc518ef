# SPDX-License-Identifier: Apache-2.0
"""Processes in odd places: made past the C library, in namespaces of their own, as another user, below another root, or
with nobody to wait for them. Each runs as it would, and is recorded where it can be."""

import os
import re
import signal
import stat
import tempfile
from pathlib import Path

import pytest

import harness
import wire

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def rows_by_pid(*paths) -> dict[int, dict]:
    return {row["pid"]: row for row in harness.report(*paths)["recordings"]}


@pytest.fixture
def open_directory():
    """A directory for recordings that other users can reach, made by the library itself."""
    with tempfile.TemporaryDirectory(prefix="heapecho-places-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder) / "recordings"


def test_a_process_made_past_the_c_library_has_its_recording(directory):
    done = harness.execute([harness.program("raw_clone")], harness.recording_environment(directory, 1))
    assert done.returncode == 0, done.stderr
    pids = {line["site"]: line["pid"] for line in harness.json_lines(done.stdout)}
    rows = rows_by_pid(directory)
    assert set(rows) == set(pids.values())
    child, parent = rows[pids["site_cloned"]], rows[pids["site_before"]]
    assert child["parent_id"] == parent["id"]
    assert (child["end"], child["exit_status"]) == ("exited", 4), "as its parent was told: it said no last word itself"
    said = harness.truth(done.stdout, "live", pids["site_cloned"])
    harness.check_exactly(Path(child["file"]), said | harness.truth(done.stdout, "live", pids["site_before"]), "live")


@pytest.mark.parametrize("kind", ["pid", "user"])
def test_a_worker_in_a_namespace_of_its_own_is_recorded_with_its_end(kind, directory):
    os.chmod(directory, 0o777)
    done = harness.execute([harness.program("in_namespace"), kind], harness.recording_environment(directory, 1))
    if done.returncode == 77:
        pytest.skip(f"no {kind} namespace can be made here")
    assert done.returncode == 0, done.stderr
    (said,) = harness.json_lines(done.stdout)
    rows = rows_by_pid(directory)
    worker = rows[said["pid"]]
    assert (said["pid"] == 1) == (kind == "pid")
    assert (worker["end"], worker["signal"], worker["oom_kill"]) == ("killed", signal.SIGKILL, "no")
    assert worker["memory"]["peak_rss_bytes"] > 1 << 20
    seen = harness.estimates(Path(worker["file"]))
    assert seen["site_inside"].bytes == said["size"] * said["live"]


@AS_ROOT
def test_a_worker_that_drops_its_user_records_beside_its_parent(open_directory):
    done = harness.execute([harness.program("changes_root"), "user"], harness.recording_environment(open_directory, 1))
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    (said,) = harness.json_lines(done.stdout)
    assert stat.S_IMODE(open_directory.stat().st_mode) == 0o1777
    rows = rows_by_pid(open_directory)
    worker = rows[said["pid"]]
    assert Path(worker["file"]).stat().st_uid == 65534 and stat.S_IMODE(Path(worker["file"]).stat().st_mode) == 0o600
    assert (worker["end"], worker["exit_status"]) == ("exited", 5)
    assert harness.estimates(Path(worker["file"]))["site_after"].bytes == said["size"] * said["live"]


@AS_ROOT
def test_a_worker_whose_new_user_may_not_write_there_says_so_once_and_works_on(open_directory):
    open_directory.mkdir(mode=0o700)
    done = harness.execute([harness.program("changes_root"), "user"], harness.recording_environment(open_directory, 1))
    assert done.returncode == 0, "the worker did its work"
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"heapecho: not recording: {open_directory} ") and "errno 13" in line
    parsed = harness.report(open_directory)
    (parent,) = parsed["recordings"]
    assert (parent["end"], parent["exit_status"]) == ("exited", 0)
    (note,) = [warning for warning in parsed["warnings"] if "a child is not recorded" in warning]
    assert re.search(r"process \d+ \(user 65534\): its directory \D+ \(errno 13\)$", note), note
    assert parent["drops"]["children_not_recorded"] == 1


def test_children_for_whom_the_directory_has_no_room_are_counted_by_their_parent(directory):
    """Each fork of a program that is at the directory's limit."""
    done = harness.execute([harness.program("prefork"), 3],
                           harness.recording_environment(directory, 1, HEAPECHO_KEEP="64KiB"))
    assert done.returncode == 0, done.stderr
    parsed = harness.report(directory)
    (parent,) = parsed["recordings"]
    assert parent["drops"]["children_not_recorded"] == 3
    notes = [warning for warning in parsed["warnings"] if "holds more than HEAPECHO_KEEP" in warning]
    assert len(notes) == 3 and all("a child is not recorded: process " in note for note in notes)


@AS_ROOT
def test_a_worker_below_another_root_records_there(open_directory):
    root = open_directory.parent / "root"
    root.mkdir()
    done = harness.execute([harness.program("changes_root"), root], harness.recording_environment(open_directory, 1))
    assert done.returncode == 0, done.stderr
    (said,) = harness.json_lines(done.stdout)
    below = root / open_directory.relative_to("/")
    worker, = harness.report(below)["recordings"]
    assert worker["pid"] == said["pid"] and worker["exit_status"] == 5
    both = rows_by_pid(open_directory, below)
    assert both[said["pid"]]["parent_id"] in {row["id"] for row in both.values()}
    assert harness.estimates(below)["site_after"].bytes == said["size"] * said["live"]


def test_a_daemon_with_nobody_to_wait_for_it_is_recorded(directory, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    done = harness.execute([harness.program("daemonizes"), fifo], harness.recording_environment(directory, 1))
    assert done.returncode == 0, done.stderr
    text = fifo.read_bytes()  # waits for the daemon to open it, and to end
    (said,) = harness.json_lines(text)
    daemon = rows_by_pid(directory)[said["pid"]]
    assert (daemon["end"], daemon["exit_status"]) == ("exited", 6)
    assert harness.estimates(Path(daemon["file"]))["site_daemon"].bytes == said["size"] * said["live"]
