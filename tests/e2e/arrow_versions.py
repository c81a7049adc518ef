# SPDX-License-Identifier: Apache-2.0
"""Which versions of pyarrow are tested, each in a virtual environment of its own beside the other tests'.

10.0.1 is of before pools took an alignment; the others span the range from 12 on. All have wheels for Python 3.11. The short
form takes the one that the demo is built with and the oldest.
"""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import harness

SHORT = ["10.0.1", "21.0.0"]
ALL = ["10.0.1", "12.0.1", "14.0.2", "16.1.0", "19.0.1", "21.0.0", "26.0.0"]
VERSIONS = ALL if harness.FULL else SHORT

# The wheels of before 17 were built against numpy 1, and do not say so.
NUMPY_1_UNTIL = 17


def _major(version: str) -> int:
    return int(version.split(".")[0])


def _is_3_11(interpreter: Path) -> bool:
    done = subprocess.run([interpreter, "-c", "import sys; print(sys.version_info[:2] == (3, 11))"],
                          capture_output=True, text=True)
    return done.stdout.strip() == "True"


def _interpreter() -> Path | None:
    candidates = [Path("/usr/bin/python3.11"), Path(sys.executable),
                  *sorted((Path.home() / ".pyenv" / "versions").glob("3.11*/bin/python3"))]
    return next((path for path in candidates if path.exists() and _is_3_11(path)), None)


def _has(python: Path, version: str) -> bool:
    if not python.exists():
        return False
    done = subprocess.run([python, "-c", "import pyarrow; print(pyarrow.__version__)"], capture_output=True, text=True)
    return done.stdout.strip() == version


@cache
def python_with(version: str) -> Path:
    """An interpreter with that pyarrow; skips, and says why, where there can be none."""
    python = harness.BUILD / "e2e-python" / f"pyarrow-{version}" / "bin" / "python"
    if _has(python, version):
        return python
    interpreter = _interpreter()
    if interpreter is None:
        pytest.skip("no Python 3.11")
    wanted = [f"pyarrow=={version}", *(["numpy<2"] if _major(version) < NUMPY_1_UNTIL else [])]
    for step in ([interpreter, "-m", "venv", "--clear", python.parents[1]],
                 [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:", *wanted]):
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"no pyarrow {version}: {re.sub(r'https?://[^ ]+', '', done.stderr.strip())[-200:]}")
    return python
