# SPDX-License-Identifier: Apache-2.0
"""Runs the built command, and makes recordings with it for its tests to read."""

import os
import subprocess
from pathlib import Path

BUILD = Path(os.environ.get("BUILD_DIR", Path(__file__).resolve().parents[4] / "build"))
COMMAND = BUILD / "heapecho"
LIBRARY = BUILD / "libheapecho.so"
HOLDER = BUILD / "tests" / "unit" / "analyzer" / "cli" / "holds_blocks"


def environment(**extra):
    """The caller's environment without anything of heapecho's or a preload, and `extra`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEAPECHO_", "LD_"))}
    return kept | extra


def heapecho(*words, stdout=subprocess.PIPE, **extra):
    """Runs it to its end; `extra` is environment."""
    return subprocess.run([str(word) for word in (COMMAND, *words)], stdin=subprocess.DEVNULL, stdout=stdout,
                          stderr=subprocess.PIPE, text=True, env=environment(**extra), timeout=300)


def make_recordings(directory):
    """One recording of holds_blocks, every byte sampled; gives the directory back."""
    answer = heapecho("run", "--dir", directory, "--interval", "1", "--", HOLDER)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert len(list(directory.glob("*.heapecho"))) == 1
    return directory
