# SPDX-License-Identifier: Apache-2.0
"""top: what running processes hold, off their recordings."""

import os
import signal
import subprocess

import pytest

from command import COMMAND, HOLDER, environment, heapecho, make_recordings


@pytest.fixture
def holding(tmp_path):
    """A process that holds 40 blocks of 100,000 bytes until the test ends, recorded in tmp_path."""
    process = subprocess.Popen([COMMAND, "run", "--dir", tmp_path, "--interval", "1", "--", HOLDER, "wait"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True)
    assert process.stdout.readline() == "holding\n"
    yield process, tmp_path
    process.stdin.close()
    process.wait()


def test_a_running_process_is_shown_with_what_it_holds(holding):
    process, directory = holding
    answer = heapecho("top", directory, "--once")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith("heapecho: 1 process, live ")
    line = next(line for line in answer.stdout.splitlines() if "holds_blocks" in line)
    assert line.split()[0] == str(process.pid)
    assert "3.8" in line and "MiB ± 0 B" in line  # 4,000,000 bytes, and what the C library holds


def test_it_is_found_by_its_pid_in_the_directory_of_the_environment(holding):
    process, directory = holding
    answer = heapecho("top", "--pid", process.pid, "--once", HEAPECHO_DIR=str(directory))
    assert answer.returncode == 0 and str(process.pid) in answer.stdout
    other = heapecho("top", "--pid", os.getpid(), "--once", HEAPECHO_DIR=str(directory))
    assert other.returncode == 1 and str(os.getpid()) in other.stderr


def test_processes_that_are_over_are_not_shown(tmp_path):
    make_recordings(tmp_path)
    answer = heapecho("top", tmp_path, "--once")
    assert answer.returncode == 1 and "running" in answer.stderr


def test_a_process_that_is_stopped_need_not_do_anything_for_it(holding):
    process, directory = holding
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)

    def status():
        with open(f"/proc/{process.pid}/status") as lines:
            return [line for line in lines if line.startswith(("State", "voluntary", "nonvol", "TracerPid", "SigPnd"))]
    before = status()
    try:
        answer = heapecho("top", directory, "--once")
        assert answer.returncode == 0 and "3.8" in answer.stdout
        assert status() == before
    finally:
        os.kill(process.pid, signal.SIGCONT)


def test_it_refreshes_and_has_rates_until_it_is_told_to_stop(holding):
    _, directory = holding
    top = subprocess.Popen([COMMAND, "top", directory], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           env=environment(), text=True)
    looks = 0
    for line in top.stdout:
        looks += line.startswith("heapecho: ")
        if looks == 3:
            break
    top.send_signal(signal.SIGTERM)
    rest = top.stdout.read()
    assert top.wait() == 0, rest
    assert looks == 3


@pytest.mark.parametrize("words, named", [
    (["--pid", "x"], "--pid x"),
    (["--pid", "0"], "--pid 0"),
    (["--sort", "colour"], "--sort colour"),
])
def test_bad_usage_is_status_2_and_one_line_that_names_it(words, named, tmp_path):
    answer = heapecho("top", tmp_path, *words)
    assert answer.returncode == 2 and named in answer.stderr and answer.stderr.count("\n") == 1
