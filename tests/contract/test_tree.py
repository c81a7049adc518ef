# SPDX-License-Identifier: Apache-2.0
"""The tree is laid out as promised: its top level, a licence line in each file, headers guarded alike."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {"preload", "analyzer", "bench", "tests", "tools", "CMakeLists.txt", "README.md"}
HIDDEN_TOP_LEVEL = {".ci", ".gitignore", ".clang-format"}
CODE = {".c", ".cc", ".h", ".inc", ".S", ".py", ".cmake", ".sh"}


def tracked() -> list[str]:
    """Files of the tree; without git nobody can tell them from what a build has made."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no git, or not a git checkout")
    listing = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "ls-files", "-z"],
                             capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip(f"git ls-files failed: {listing.stderr.strip()}")
    return [name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def is_code(name: str) -> bool:
    path = Path(name)
    if path.suffix in CODE or path.name == "CMakeLists.txt":
        return True
    with (ROOT / name).open("rb") as file:
        return file.read(2) == b"#!"


def test_the_top_level_is_exactly_the_promised_one():
    top = {name.split("/")[0] for name in tracked()}
    assert {name for name in top if not name.startswith(".")} == TOP_LEVEL
    assert {name for name in top if name.startswith(".")} == HIDDEN_TOP_LEVEL


def test_every_source_names_its_licence_once_near_its_first_line():
    wrong = [name for name in tracked() if is_code(name)
             and sum("SPDX-License-Identifier: Apache-2.0" in line
                     for line in (ROOT / name).read_text().splitlines()[:3]) != 1]
    assert not wrong, f"without exactly one SPDX line in the first three: {wrong}"


def test_every_header_is_included_once():
    wrong = [name for name in tracked() if name.endswith(".h")
             and not re.search(r"^#pragma once$", (ROOT / name).read_text(), re.MULTILINE)]
    assert not wrong, f"without #pragma once: {wrong}"


def test_every_script_can_be_run():
    wrong = [name for name in tracked()
             if (ROOT / name).read_bytes().startswith(b"#!") and not (ROOT / name).stat().st_mode & 0o100]
    assert not wrong, f"begins with #! but is not executable: {wrong}"
