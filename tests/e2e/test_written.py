# SPDX-License-Identifier: Apache-2.0
"""Where a mapped file is not safe, or HEAPECHO_MAP=0 says so, the recording is written: it says which way it was kept, the
program runs as without whatever the file system does, and a SIGKILL costs what came after the last writing."""

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

import harness
import mounts
import wire

INTERVAL = 64

# The place, and whether a file is mapped there.
PLACES = {"ext4": True, "tmpfs": True, "overlay on ext4": True, "overlay on btrfs": False, "btrfs": False, "fuse": False}


@pytest.fixture
def place(request, tmp_path):
    """A folder on the kind of file system that the test is parametrized by, with 300 MiB of room."""
    with ExitStack() as stack:
        yield make(request.param, tmp_path, stack)


def make(kind: str, folder: Path, stack: ExitStack) -> Path:
    if kind.startswith("overlay on "):
        below = make(kind.removeprefix("overlay on "), folder, stack)
        return stack.enter_context(mounts.overlay(folder / "overlay", below))
    if kind == "fuse":
        below = folder / "below"
        below.mkdir()
        return stack.enter_context(mounts.fuse(folder / "fuse", below))
    if kind == "tmpfs":
        return stack.enter_context(mounts.tmpfs(folder / "tmpfs", "300m"))
    return stack.enter_context(mounts.image(folder / kind, kind, 300))


@pytest.fixture(scope="module")
def undisturbed():
    done = harness.execute([harness.program("steady_work")], harness.plain_environment())
    assert done.returncode == 7
    return done


@pytest.mark.parametrize("place, mapped", PLACES.items(), indirect=["place"])
def test_a_recording_is_kept_as_its_file_system_allows(place, mapped, undisturbed):
    done = harness.execute([harness.program("steady_work")],
                           harness.recording_environment(place, INTERVAL, HEAPECHO_BUDGET="4MiB"))
    assert (done.returncode, done.stdout, done.stderr) == (7, undisturbed.stdout, b"")
    path = harness.only_recording(place)
    (row,) = harness.report(path)["recordings"]
    assert row["keeping"] == ("mapped" if mapped else "written")
    assert (row["end"], row["exit_status"]) == ("exited", 7)
    recording = wire.Recording(path, events=True)
    assert recording.header.recording_end == wire.COMPLETE
    assert recording.broken_live == recording.torn_live == recording.broken_events == recording.torn_events == 0
    text = harness.report_text(path)
    assert ("written, not mapped" in text) != mapped
    assert ("not safe on" in text) != mapped


@pytest.mark.parametrize("place", [kind for kind, mapped in PLACES.items() if not mapped], indirect=True)
def test_doctor_says_how_a_file_is_kept_there(place):
    done = harness.execute([harness.COMMAND, "doctor"], harness.plain_environment(HEAPECHO_DIR=str(place)))
    text = done.stdout.decode()
    assert done.returncode == 0, text
    assert "where mapping is not safe: what changed is written once a second" in text
    assert f"a trial: recorded a program into {place} and read it back" in text


def full(place: Path) -> Path:
    mounts.fill(place)
    return place


@pytest.mark.parametrize("place", ["btrfs", "overlay on btrfs"], indirect=True)
def test_a_btrfs_that_is_full_from_the_start_changes_nothing(place, undisturbed):
    done = harness.execute([harness.program("steady_work")], harness.recording_environment(full(place), INTERVAL))
    assert (done.returncode, done.stdout) == (7, undisturbed.stdout)
    assert len(done.stderr.splitlines()) <= 1
    for path in harness.recordings(place):
        harness.report(path)


@pytest.mark.parametrize("place, asked", [("btrfs", "1"), ("overlay on btrfs", "1"), ("ext4", "0"), ("tmpfs", "0")],
                         indirect=["place"])
def test_a_disk_that_fills_up_while_it_is_written_ends_the_recording_not_the_program(place, asked, undisturbed):
    process = subprocess.Popen([harness.program("steady_work"), "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE,
                               env=harness.recording_environment(place, INTERVAL, HEAPECHO_MAP=asked))
    assert process.stdout.readline() == b"ready\n"
    full(place)
    stdout, stderr = process.communicate(timeout=harness.DEADLINE_S)
    assert (process.returncode, stdout, stderr) == (7, undisturbed.stdout, b""), "no SIGBUS either"
    path = harness.only_recording(place)
    # Read, not mapped: on a full tmpfs whoever maps a hole and looks at it gets a SIGBUS of his own.
    head = wire.read_header(path)
    assert (head.recording_end, head.process_end, head.exit_status) == (wire.DISK_FULL, wire.EXITED, 7)
    assert "full" in harness.report_text(path)


# It goes on at the rate of a loop that does nothing else, each request sampled: events come faster than they can be written in
# the time that writing may take, and still the file follows while it makes a part of those requests.
HOLDS_AND_GOES_ON = """
import itertools

def hold():
    return [bytearray(100000 + i) for i in range(500)]

def go_on():
    for _ in itertools.repeat(None, 4000000):
        bytearray(200000)

held = hold()
print("held", flush=True)
go_on()
"""


def written_until(path: Path, moment_ns: int, process: subprocess.Popen) -> None:
    """Waits until what the process did up to `moment_ns` is in its file."""
    while wire.read_header(path).last_event_ns < moment_ns:
        assert process.poll() is None
        time.sleep(0.01)  # leaves the file system to the process


@pytest.mark.parametrize("place", ["btrfs", "fuse"], indirect=True)
def test_what_was_there_at_the_last_writing_outlives_sigkill(place):
    process = subprocess.Popen(["/usr/bin/python3", "-S", "-c", HOLDS_AND_GOES_ON], stdout=subprocess.PIPE,
                               env=harness.recording_environment(place, 4096))
    try:
        assert process.stdout.readline() == b"held\n"
        for _ in range(5):
            written_until(harness.only_recording(place), time.monotonic_ns(), process)
    finally:
        process.kill()
        process.communicate()
    parsed = harness.report(place)
    (row,) = parsed["recordings"]
    assert (row["end"], row["keeping"], parsed["warnings"]) == ("killed", "written", [])
    held = [site for site in parsed["sites"]
            if any(frame["function"] == "hold.<locals>.<listcomp>" or frame["function"] == "hold"
                   for frame in site["frames"])]
    # Blocks of 100,000 bytes are all sampled at 4,096 (one is not with e^-24); what the list itself takes is small.
    objects = sum(site["objects"] for site in held if site["bytes"] > 1 << 20)
    assert objects == 500
    assert sum(site["bytes"] for site in held) >= sum(100000 + i for i in range(500))
