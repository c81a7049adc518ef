# SPDX-License-Identifier: Apache-2.0
"""heapecho doctor: finds the link of the chain that is broken."""

import re
import subprocess

import pytest

from command import COMMAND, HOLDER, environment, heapecho, make_recordings


def verdicts(answer):
    """(verdict, text) of each line."""
    assert answer.stderr == ""
    lines = [line.split(maxsplit=1) for line in answer.stdout.splitlines()]
    assert {verdict for verdict, _ in lines} <= {"ok", "note", "PROBLEM"}
    return lines


def problems(answer):
    assert answer.returncode == 1
    return "\n".join(text for verdict, text in verdicts(answer) if verdict == "PROBLEM")


def test_all_is_well_where_recordings_can_be_made(tmp_path):
    answer = heapecho("doctor", HEAPECHO_DIR=str(make_recordings(tmp_path)))
    assert answer.returncode == 0, answer.stdout
    text = answer.stdout
    for link in ("libheapecho.so", "kernel", str(tmp_path), "file system", "free space", "recordings in"):
        assert link in text
    assert "PROBLEM" not in text


def test_a_trial_recording_is_made_read_back_and_removed(tmp_path):
    before = sorted(make_recordings(tmp_path).iterdir())
    answer = heapecho("doctor", HEAPECHO_DIR=str(tmp_path))
    assert answer.returncode == 0 and "a trial: recorded a program" in answer.stdout
    assert sorted(tmp_path.iterdir()) == before


def test_a_trial_that_makes_no_recording_is_a_problem_with_the_librarys_own_words():
    text = problems(heapecho("doctor", HEAPECHO_DIR="/proc/self"))
    assert "a trial: no recording was made" in text and "it said: heapecho: " in text


def test_a_directory_that_the_library_will_make_is_no_problem(tmp_path):
    answer = heapecho("doctor", HEAPECHO_DIR=str(tmp_path / "new" / "folder"))
    assert answer.returncode == 0 and "not there yet" in answer.stdout


def test_a_file_in_the_directorys_place_is_a_problem(tmp_path):
    (tmp_path / "file").write_text("")
    assert "is no directory" in problems(heapecho("doctor", HEAPECHO_DIR=str(tmp_path / "file")))


def test_a_file_system_that_cannot_be_mapped_safely_is_written_and_the_price_is_named():
    answer = heapecho("doctor", HEAPECHO_DIR="/proc/heapecho")
    assert re.search("^note +file system: .*what changed is written once a second", answer.stdout, re.MULTILINE), answer.stdout


def test_a_directory_without_space_is_a_problem():
    assert "free space: 0 B" in problems(heapecho("doctor", HEAPECHO_DIR="/proc/heapecho"))


def test_a_process_that_is_not_there_is_a_problem():
    assert "there is none" in problems(heapecho("doctor", "--pid", "4194305"))


@pytest.fixture
def holder():
    """Starts holds_blocks by a command line and returns its pid; ends it afterwards."""
    started = []

    def start(*command, **extra):
        process = subprocess.Popen([str(word) for word in command] + ["wait"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env=environment(**extra))
        started.append(process)
        assert process.stdout.readline() == b"holding\n"
        return process.pid
    yield start
    for process in started:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def test_a_recorded_process_is_well_and_its_recording_is_named(holder, tmp_path):
    pid = holder(COMMAND, "run", "--dir", tmp_path, "--interval", "4096", "--", HOLDER)
    answer = heapecho("doctor", "--pid", pid)
    assert answer.returncode == 0, answer.stdout
    (recording,) = tmp_path.glob("*.heapecho")
    assert f"its recording: {recording}" in answer.stdout
    assert "the library is loaded" in answer.stdout
    assert "HEAPECHO_INTERVAL=4096" in answer.stdout


def test_a_process_that_was_started_without_the_library_is_told_so(holder):
    text = problems(heapecho("doctor", "--pid", holder(HOLDER)))
    assert "library is not loaded" in text
    assert "LD_PRELOAD: does not name the library" in text and "heapecho run" in text


def test_a_process_that_was_told_not_to_record_is_told_so(holder, tmp_path):
    pid = holder(COMMAND, "run", "--dir", tmp_path, "--", HOLDER, HEAPECHO_DISABLE="1")
    assert "HEAPECHO_DISABLE=1" in problems(heapecho("doctor", "--pid", pid))


def test_a_process_that_is_not_among_those_to_record_is_told_so(holder, tmp_path):
    pid = holder(COMMAND, "run", "--dir", tmp_path, "--", HOLDER, HEAPECHO_ONLY="gunicorn,holds_blocks2")
    assert "HEAPECHO_ONLY" in problems(heapecho("doctor", "--pid", pid))
    pid = holder(COMMAND, "run", "--dir", tmp_path, "--", HOLDER, HEAPECHO_ONLY="gunicorn,holds_blocks")
    assert heapecho("doctor", "--pid", pid).returncode == 0


def test_a_process_without_a_recording_is_told_where_it_was_looked_for(holder, tmp_path):
    pid = holder(COMMAND, "run", "--dir", tmp_path, "--", HOLDER)
    for recording in tmp_path.glob("*.heapecho"):
        recording.unlink()
    text = problems(heapecho("doctor", "--pid", pid))
    assert f"none in {tmp_path}" in text
