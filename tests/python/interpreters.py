# SPDX-License-Identifier: Apache-2.0
"""The interpreters at hand: Debian's own, pyenv's, and those that HEAPECHO_TEST_PYTHONS names (by colons)."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

OLDEST, NEWEST = (3, 8), (3, 15)

ASK = ("import sys, sysconfig; print('.'.join(map(str, sys.version_info[:3])), "
       "sysconfig.get_config_var('Py_GIL_DISABLED') or 0)")


@dataclass(frozen=True)
class Interpreter:
    path: Path
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version))} {self.path}"

    @property
    def name(self) -> str:
        """For the id of a test."""
        return re.sub(r"[^0-9A-Za-z.]+", "-", str(self))


def _candidates() -> list[Path]:
    found = [path for path in sorted(Path("/usr/bin").glob("python3.*")) if re.fullmatch(r"python3\.\d+", path.name)]
    roots = {Path.home() / ".pyenv"} | {Path(root) for root in [os.environ.get("PYENV_ROOT")] if root}
    for root in sorted(roots):
        found += sorted((root / "versions").glob("3.*/bin/python3"))
    return found + [Path(path) for path in os.environ.get("HEAPECHO_TEST_PYTHONS", "").split(":") if path]


def find() -> tuple[list[Interpreter], list[Interpreter], list[str]]:
    """Those that the tests are for, by version; those without a GIL; and what was left out, with the reason."""
    found: dict[Path, Interpreter] = {}
    free_threaded_ones = []
    left_out = []
    bare = {k: v for k, v in os.environ.items() if not k.startswith("HEAPECHO_") and k != "LD_PRELOAD"}
    for path in _candidates():
        done = subprocess.run([path, "-c", ASK], capture_output=True, text=True, env=bare)
        if done.returncode != 0:
            left_out.append(f"{path}: does not run")
            continue
        version, free_threaded = done.stdout.split()
        interpreter = Interpreter(path, tuple(int(part) for part in version.split(".")))
        if not OLDEST <= interpreter.version[:2] <= NEWEST:
            left_out.append(f"{interpreter}: not of the versions whose frames are walked")
        elif free_threaded != "0":
            free_threaded_ones.append(interpreter)
        else:
            # Links beside each other lead to one; a virtual environment's leads to what has other modules.
            same = path.parent.resolve() / os.path.basename(os.path.realpath(path))
            found.setdefault(same, interpreter)
    ordered = sorted(found.values(), key=lambda interpreter: (interpreter.version, str(interpreter.path)))
    return ordered, free_threaded_ones, left_out


FOUND, FREE_THREADED, LEFT_OUT = find()
