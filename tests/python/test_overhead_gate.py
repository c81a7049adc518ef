# SPDX-License-Identifier: Apache-2.0
"""tools/overhead-gate: its statistics by numbers, its runs by a command whose cost is known to the byte."""

import os
import random
import resource
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

GATE = Path(__file__).resolve().parents[2] / "tools/overhead-gate"

# Holds ten times the memory when a library is preloaded, and leaves a recording as the library would.
COSTLY = """
    import os, pathlib
    preloaded = "LD_PRELOAD" in os.environ
    held = bytearray(os.urandom(1)) * ((300 if preloaded else 30) << 20)
    if preloaded:
        (pathlib.Path(os.environ["HEAPECHO_DIR"]) / "x.heapecho").touch()
"""


@pytest.fixture
def gate(tool):
    return tool("overhead-gate")


@pytest.fixture
def run_gate(tmp_path, monkeypatch):
    """Runs the gate over a Python script; the preloaded library is one that every process has anyway."""
    library = next(Path("/lib").glob("*-linux-gnu/libc.so.6"))
    monkeypatch.delenv("LD_PRELOAD", raising=False)

    def run(script: str, *options: str) -> subprocess.CompletedProcess:
        path = tmp_path / "command.py"
        path.write_text(textwrap.dedent(script))
        return subprocess.run([GATE, "--rounds", "6", "--library", library, *options, "--", sys.executable, path],
                              capture_output=True, text=True)
    return run


def test_the_interval_of_ten_rounds_is_from_the_second_to_the_ninth(gate):
    interval = gate.median_interval([float(i) for i in range(10, 0, -1)], 0.95)
    assert (interval.median, interval.low, interval.high) == (5.5, 2.0, 9.0)
    assert interval.coverage == 1 - 2 * (1 + 10) / 1024


def test_six_rounds_are_the_fewest_for_95_percent(gate):
    assert gate.fewest_rounds(0.95) == 6


def test_the_interval_covers_the_true_median_as_often_as_it_says(gate):
    # 4000 draws: the observed share has a standard error of 0.23 %, so five of them are one in 1.7 million.
    generator = random.Random(1)
    covered = 0
    for _ in range(4000):
        values = [generator.expovariate(1.0) for _ in range(12)]
        interval = gate.median_interval(values, 0.95)
        covered += interval.low <= 0.6931471805599453 <= interval.high
    assert abs(covered / 4000 - interval.coverage) < 5 * 0.0023


@pytest.mark.parametrize("low,high,expected", [
    (0.99, 1.01, "holds"), (1.03, 1.05, "BROKEN"), (1.01, 1.03, "undecided"), (1.0, 1.02, "holds")])
def test_a_bound_is_judged_by_the_whole_interval(gate, low, high, expected):
    assert gate.verdict(gate.Interval(1.0, low, high, 0.95), 1.02) == expected


def test_a_broken_bound_outweighs_an_undecided_one(gate):
    assert gate.exit_status(["holds", "undecided", "BROKEN"]) == 1
    assert gate.exit_status(["holds", "undecided", ""]) == 3
    assert gate.exit_status(["holds", "", ""]) == 0


def test_a_cost_above_the_bound_fails(run_gate):
    done = run_gate(COSTLY, "--max-rss", "2")
    assert done.returncode == 1, done.stderr
    assert "BROKEN" in done.stdout


def test_a_cost_below_the_bound_passes(run_gate):
    done = run_gate(COSTLY, "--max-rss", "20")
    assert done.returncode == 0, done.stderr
    assert "holds" in done.stdout


def test_the_cpu_time_of_all_descendants_counts(gate, tmp_path):
    grandchild = "import time\nwhile time.process_time() < 0.5: pass"
    script = tmp_path / "command.py"
    script.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {grandchild!r}], check=True)\n")
    gate.adopt_orphans()
    assert gate.run_command([sys.executable, str(script)], dict(os.environ), tmp_path / "log").cpu >= 0.5


def test_the_gates_own_memory_is_not_taken_for_the_commands(gate, tmp_path):
    # A child used to begin with its parent's peak, so that every small command seemed to cost the same.
    gate.adopt_orphans()
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    assert gate.run_command(["true"], dict(os.environ), tmp_path / "log").rss < own / 2


def test_a_run_that_records_nothing_is_no_pass(run_gate):
    done = run_gate("pass", "--max-cpu", "100")
    assert done.returncode == 2
    assert "recorded nothing" in done.stderr


def test_a_command_that_fails_is_shown_with_what_it_said(run_gate):
    done = run_gate("import sys; sys.exit('no such table')")
    assert done.returncode == 2
    assert "no such table" in done.stderr


def test_too_few_rounds_are_refused_with_the_number_needed(run_gate):
    done = run_gate(COSTLY, "--rounds", "5")
    assert done.returncode == 2
    assert "at least 6" in done.stderr


def test_a_service_is_started_loaded_and_ended_in_each_run(run_gate, tmp_path):
    service = """
        import http.server, os, pathlib
        if "LD_PRELOAD" in os.environ:
            (pathlib.Path(os.environ["HEAPECHO_DIR"]) / "x.heapecho").touch()
        served = bytearray(b"x") * (1 << 20)
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = bytes(served)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
        http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
    """
    port = free_port()
    done = run_gate(service.replace("PORT", str(port)), "--url", f"http://127.0.0.1:{port}/", "--requests", "200",
                    "--max-rss", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 rounds" in done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
