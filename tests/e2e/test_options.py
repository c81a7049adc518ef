# SPDX-License-Identifier: Apache-2.0
"""Each option has its effect and its default; a nonsense value costs one line and the default is used."""

import os
import stat
import subprocess

import pytest

import harness
import wire

WORK = [harness.program("steady_work")]


def work(directory, **extra):
    done = harness.execute(WORK, harness.recording_environment(directory, 65536, **extra))
    assert done.returncode == 7 and done.stdout.startswith(b"sum ")
    return done


def test_interval_sets_the_mean_of_bytes_between_samples(directory):
    for interval in ("65536", "64KiB", "64K"):
        folder = directory / interval
        folder.mkdir()
        work(folder, HEAPECHO_INTERVAL=interval)
        head = wire.Recording(harness.only_recording(folder)).header
        assert head.interval_configured == head.interval_now == 65536


def test_interval_is_auto_by_default(directory):
    environment = harness.recording_environment(directory)
    del environment["HEAPECHO_INTERVAL"]
    harness.execute(WORK, environment)
    head = wire.Recording(harness.only_recording(directory)).header
    assert head.interval_configured == 0
    assert 16 << 10 <= head.interval_now <= 16 << 20


def test_budget_bounds_the_file(directory):
    for budget in (4 << 20, 16 << 20):
        folder = directory / str(budget)
        folder.mkdir()
        work(folder, HEAPECHO_BUDGET=str(budget), HEAPECHO_INTERVAL="64")
        path = harness.only_recording(folder)
        head = wire.Recording(path).header
        assert budget - (64 << 10) < head.budget <= budget, "whole pages of it"
        assert path.stat().st_blocks * 512 <= budget + (64 << 10)
        assert head.recording_end == wire.COMPLETE, "a budget is no fault"


def test_short_lived_processes_that_end_well_keep_no_file_unless_asked(directory):
    ends_well = [harness.program("c23_free")]
    for short, left in (("drop", 0), ("keep", 1)):
        done = harness.execute(ends_well, harness.recording_environment(directory, 1, HEAPECHO_SHORT=short))
        assert done.returncode == 0
        assert len(harness.recordings(directory)) == left
    work(directory, HEAPECHO_SHORT="drop")
    assert len(harness.recordings(directory)) == 2, "a process that ends with a status keeps its own"


def test_short_lived_processes_are_dropped_by_default(directory):
    environment = harness.recording_environment(directory, 1)
    del environment["HEAPECHO_SHORT"]
    assert harness.execute([harness.program("c23_free")], environment).returncode == 0
    assert harness.recordings(directory) == []


def test_only_names_the_commands_that_are_recorded(directory):
    work(directory, HEAPECHO_ONLY="gunicorn,python3")
    assert harness.recordings(directory) == []
    work(directory, HEAPECHO_ONLY="gunicorn,steady_work")
    assert len(harness.recordings(directory)) == 1


def test_disable_records_nothing(directory):
    done = work(directory, HEAPECHO_DISABLE="1")
    assert done.stderr == b"" and list(directory.iterdir()) == []
    work(directory, HEAPECHO_DISABLE="0")
    assert len(harness.recordings(directory)) == 1


def test_the_analyzer_in_a_container_that_preloads_the_library_leaves_no_recording(directory):
    work(directory)
    (before,) = harness.recordings(directory)
    done = harness.execute([harness.COMMAND, "report", directory], harness.recording_environment(directory, 1))
    assert done.returncode == 0 and b"steady_work" in done.stdout, done.stderr
    assert harness.recordings(directory) == [before]


def test_keep_prunes_the_oldest_ended_recordings(directory):
    work(directory, HEAPECHO_INTERVAL="64")
    first = harness.only_recording(directory)
    size = first.stat().st_blocks * 512
    for _ in range(4):
        work(directory, HEAPECHO_INTERVAL="64", HEAPECHO_KEEP=str(int(2.5 * size)))
    left = harness.recordings(directory)
    assert first not in left
    # What is kept when a file begins, and the file that began.
    assert sum(path.stat().st_blocks * 512 for path in left) <= 3.6 * size


def test_keep_never_prunes_what_still_runs(directory):
    running = subprocess.Popen([harness.program("steady_work"), "wait"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=harness.recording_environment(directory, 64))
    assert running.stdout.readline() == b"ready\n"
    its = harness.only_recording(directory)
    for _ in range(3):
        work(directory, HEAPECHO_INTERVAL="64", HEAPECHO_KEEP="1MiB")
    assert its.exists()
    running.communicate(timeout=harness.DEADLINE_S)
    assert running.returncode == 7
    assert its.exists()


def test_map_decides_whether_the_file_is_mapped_or_written(directory):
    kept = {}
    for value in ("0", "1"):
        folder = directory / value
        folder.mkdir()
        assert work(folder, HEAPECHO_MAP=value).stderr == b""
        (kept[value],) = harness.report(folder)["recordings"]
        assert (kept[value]["end"], kept[value]["exit_status"]) == ("exited", 7)
    assert kept["0"]["keeping"] == "written" and kept["0"]["written"]["asked_for"]
    assert kept["1"]["keeping"] == "mapped"
    assert {name: kept["0"][name]["bytes"] > 0 for name in ("live", "peak", "allocated")} == {
        "live": True, "peak": True, "allocated": True}


def test_a_file_is_mapped_by_default(directory):
    work(directory)
    assert harness.report(directory)["recordings"][0]["keeping"] == "mapped"


def test_the_directory_is_made_and_recordings_are_their_owners_alone(tmp_path):
    directory = tmp_path / "made"
    os.umask(0o022)
    work(directory)
    path = harness.only_recording(directory)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    mode = stat.S_IMODE(directory.stat().st_mode)
    assert mode == (0o1777 if os.geteuid() == 0 else 0o700)


@pytest.mark.parametrize("variable, value", [
    ("HEAPECHO_INTERVAL", "often"), ("HEAPECHO_INTERVAL", "-1"), ("HEAPECHO_INTERVAL", "0"),
    ("HEAPECHO_BUDGET", "64Q"), ("HEAPECHO_BUDGET", "99999999999999999999"), ("HEAPECHO_SHORT", "maybe"),
    ("HEAPECHO_KEEP", "99999999999999999999"), ("HEAPECHO_MAP", "2"),
    ("HEAPECHO_DISABLE", "yes")])
def test_nonsense_costs_one_line_that_names_it_and_the_program_is_recorded(variable, value, directory):
    done = work(directory, **{variable: value})
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("heapecho: ") and variable in line and value in line
    head = wire.Recording(harness.only_recording(directory)).header
    assert (head.process_end, head.exit_status) == (wire.EXITED, 7)
    assert head.interval_configured == (0 if variable == "HEAPECHO_INTERVAL" else 65536)
