# SPDX-License-Identifier: Apache-2.0
"""File systems for the moment, each a context that gives its folder. What this machine cannot do is a unittest.SkipTest,
which pytest takes for a skip."""

import shutil
import subprocess
import unittest
from contextlib import contextmanager
from pathlib import Path


def _need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise unittest.SkipTest(f"no {program} here")


def _unmount(where: Path) -> None:
    subprocess.run(["umount", "--lazy", str(where)], check=True)


@contextmanager
def mounted(where: Path, *arguments: str):
    """`mount ARGUMENTS where`."""
    where.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(where)], capture_output=True, text=True)
    if done.returncode != 0:
        raise unittest.SkipTest(f"cannot mount here: {done.stderr.strip()}")
    try:
        yield where
    finally:
        _unmount(where)


@contextmanager
def tmpfs(where: Path, size: str, *options: str):
    with mounted(where, "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "none") as path:
        yield path


@contextmanager
def image(where: Path, kind: str, megabytes: int):
    """An ext4 or btrfs of its own on a file beside `where`."""
    file = where.with_suffix(".image")
    with open(file, "wb") as out:
        out.truncate(megabytes << 20)
    _need(f"mkfs.{kind}")
    options = {"ext4": ["-m", "0"], "btrfs": []}[kind]
    done = subprocess.run([f"mkfs.{kind}", "-q", *options, str(file)], capture_output=True, text=True)
    if done.returncode != 0:
        raise unittest.SkipTest(f"no {kind} image here: {done.stderr.strip()}")
    with mounted(where, "-o", "loop", str(file)) as path:
        yield path


@contextmanager
def overlay(where: Path, below: Path):
    """An overlayfs whose files lie in `below`."""
    parts = {part: below / f"overlay-{part}" for part in ("lower", "upper", "work")}
    for part in parts.values():
        part.mkdir()
    options = ",".join(f"{name}dir={part}" for name, part in parts.items())
    with mounted(where, "-t", "overlay", "-o", options, "overlay") as path:
        yield path


@contextmanager
def fuse(where: Path, below: Path, *options: str):
    """A FUSE whose files lie in `below`, by bindfs with `options`."""
    _need("bindfs")
    where.mkdir(exist_ok=True)
    done = subprocess.run(["bindfs", *options, str(below), str(where)], capture_output=True, text=True)
    if done.returncode != 0:
        raise unittest.SkipTest(f"no FUSE here: {done.stderr.strip()}")
    try:
        yield where
    finally:
        _unmount(where)


def fill(folder: Path, leave: int = 0) -> None:
    """Leaves no room on the file system of `folder`, or `leave` bytes."""
    with open(folder / "filler", "wb", buffering=0) as file:
        for size in (1 << 20, 64 << 10, 4 << 10):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
        file.truncate(file.seek(0, 2) - leave)
    # What the file system had put off may need, or leave, some room.
    subprocess.run(["sync", "-f", str(folder)], check=True)
