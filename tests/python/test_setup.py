# SPDX-License-Identifier: Apache-2.0
"""tools/setup: what it says when it may install nothing, and that it does nothing when all is there."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).resolve().parents[2] / "tools/setup"
NOBODY = 65534


@pytest.fixture
def bare_path(tmp_path):
    """A PATH without sudo and apt-get, on which dpkg-query answers what the test wants."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "cat", "dirname", "mkdir"):
        (folder / name).symlink_to(shutil.which(name))

    def dpkg_query(answer: str) -> str:
        script = folder / "dpkg-query"
        script.write_text(f"#!/bin/sh\n{answer}\n")
        script.chmod(0o755)
        tmp_path.chmod(0o755)
        return str(folder)
    return dpkg_query


def run_setup(path: str, build: Path, **options) -> subprocess.CompletedProcess:
    return subprocess.run(["/bin/bash", SETUP, "build", "--build", build], capture_output=True, text=True,
                          env={"PATH": path}, **options)


def test_without_root_and_sudo_one_line_says_what_to_install(bare_path, tmp_path):
    as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    done = run_setup(bare_path("exit 1"), tmp_path / "build", **as_nobody)
    if done.returncode == 126 or "Permission denied" in done.stderr:
        pytest.skip("the checkout lies where only its owner can read")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("tools/setup: not root and no sudo here; as root: apt-get install ")
    assert done.stderr.count("\n") == 1


def test_it_says_and_installs_nothing_when_all_is_there(bare_path, tmp_path):
    done = run_setup(bare_path("echo ii"), tmp_path / "build")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_on_another_system_one_line_names_the_packages(bare_path, tmp_path):
    path = bare_path("exit 1")
    (Path(path) / "dpkg-query").unlink()
    done = run_setup(path, tmp_path / "build")
    assert done.returncode == 1
    assert "no Debian system" in done.stderr and "cmake" in done.stderr
    assert done.stderr.count("\n") == 1
