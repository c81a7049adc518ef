# SPDX-License-Identifier: Apache-2.0
"""Lines are those of the interpreter, instruction by instruction, over hundreds of real code objects of each
interpreter at hand."""

import os
import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
COMPARE = Path(os.environ["BUILD_DIR"]) / "tests/unit/analyzer/symbolizer/python_line_tables"
WANTED = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"]


def interpreter(version: str) -> str | None:
    """An interpreter of this version: of pyenv, or one that is called so."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [str(path / "bin/python") for path in sorted((root / "versions").glob(version + ".*"))]
    candidates.append("python" + version)
    for candidate in candidates:
        try:
            said = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        if re.match(r"Python " + re.escape(version) + r"\b", said):
            return candidate
    return None


@pytest.mark.parametrize("version", WANTED)
def test_lines_are_those_that_the_interpreter_says(version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    written = subprocess.run([python, "-I", HERE / "write_line_tables.py"], capture_output=True, check=True).stdout
    assert written.count(b"\n") > 300
    compared = subprocess.run([COMPARE], input=written, capture_output=True, check=False)
    assert compared.returncode == 0, compared.stdout.decode()
