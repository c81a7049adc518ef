# SPDX-License-Identifier: Apache-2.0
"""tools/run-ctest: no skip goes unseen, and the last line is ctest's own."""

import subprocess
import sys
from pathlib import Path

import pytest

RUN_CTEST = Path(__file__).resolve().parents[2] / "tools/run-ctest"


@pytest.fixture
def run_ctest(tmp_path):
    """Runs ctest over entries of (name, what it prints, its exit status); 77 is a skip."""
    def run(*entries: tuple[str, str, int]) -> subprocess.CompletedProcess:
        lines = []
        for name, output, status in entries:
            script = tmp_path / f"{name}.py"
            script.write_text(f"import sys\nprint({output!r})\nsys.exit({status})\n")
            lines += [f'add_test([=[{name}]=] "{sys.executable}" "{script}")',
                      f"set_tests_properties([=[{name}]=] PROPERTIES SKIP_RETURN_CODE 77)"]
        (tmp_path / "CTestTestfile.cmake").write_text("\n".join(lines))
        return subprocess.run([RUN_CTEST, tmp_path], capture_output=True, text=True)
    return run


def test_the_last_line_is_ctests_own(run_ctest):
    done = run_ctest(("fine", "", 0))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2:] == ["Skipped: 0", "100% tests passed, 0 tests failed out of 1"]


def test_a_skipped_program_is_printed_with_its_last_line(run_ctest):
    done = run_ctest(("fine", "", 0), ("needy", "looked around\nno memory cgroup here", 77))
    assert done.returncode == 0
    assert "Skipped: 1\n  1 in needy: no memory cgroup here\n" in done.stdout


def test_a_skipped_googletest_is_printed_with_its_reason(run_ctest):
    output = "[ RUN      ] A.B\n/a/b.cc:12: Skipped\nno jemalloc here\n[  SKIPPED ] A.B (0 ms)"
    assert "  1 in a: no jemalloc here\n" in run_ctest(("a", output, 77)).stdout


def test_skips_inside_a_passing_pytest_are_counted(run_ctest):
    output = "SKIPPED [3] test_a.py:7: no browser here\nSKIPPED [1] test_a.py:9: not root\n5 passed, 4 skipped"
    done = run_ctest(("a", output, 0))
    assert "Skipped: 4\n  3 in a: test_a.py:7: no browser here\n  1 in a: test_a.py:9: not root\n" in done.stdout


def test_a_note_of_a_passing_test_is_printed(run_ctest):
    done = run_ctest(("a", "on the way\nNote: ran on 3.8\n1 passed", 0))
    assert "Note of a: ran on 3.8\n" in done.stdout
    assert "on the way" not in done.stdout


def test_a_failure_fails_and_its_output_is_shown(run_ctest):
    done = run_ctest(("bad", "the reason", 1), ("fine", "", 0))
    assert done.returncode != 0
    assert "the reason" in done.stdout
    assert done.stdout.splitlines()[-1] == "50% tests passed, 1 tests failed out of 2"
