# SPDX-License-Identifier: Apache-2.0
"""tools/setup: what it says when it may install nothing, and that it does nothing when all is there."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

SETUP = Path(__file__).resolve().parents[2] / "tools/setup"
NOBODY = 65534


@pytest.fixture
def place():
    """A folder that everybody can read, whoever runs the tests."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def bare_path(place):
    """A PATH without sudo and apt-get, on which dpkg-query answers what the test wants."""
    folder = place / "bin"
    folder.mkdir()
    for name in ("bash", "cat", "dirname", "mkdir"):
        (folder / name).symlink_to(shutil.which(name))

    def dpkg_query(answer: str) -> str:
        script = folder / "dpkg-query"
        script.write_text(f"#!/bin/sh\n{answer}\n")
        script.chmod(0o755)
        return str(folder)
    return dpkg_query


def run_setup(path: str, place: Path, **options) -> subprocess.CompletedProcess:
    script = Path(shutil.copy(SETUP, place))
    return subprocess.run(["/bin/bash", script, "build", "--build", place / "build"], capture_output=True, text=True,
                          env={"PATH": path}, **options)


def test_without_root_and_sudo_one_line_says_what_to_install(bare_path, place):
    as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    done = run_setup(bare_path("exit 1"), place, **as_nobody)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("tools/setup: not root and no sudo here; as root: apt-get install ")
    assert done.stderr.count("\n") == 1


def test_it_says_and_installs_nothing_when_all_is_there(bare_path, place):
    done = run_setup(bare_path("echo ii"), place)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_on_another_system_one_line_names_the_packages(bare_path, place):
    path = bare_path("exit 1")
    (Path(path) / "dpkg-query").unlink()
    done = run_setup(path, place)
    assert done.returncode == 1
    assert "no Debian system" in done.stderr and "cmake" in done.stderr
    assert done.stderr.count("\n") == 1
