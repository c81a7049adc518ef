# SPDX-License-Identifier: Apache-2.0
"""Memory control groups with a limit, where this machine lets one be made."""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest


def controllers(group: Path) -> list[str]:
    file = group / "cgroup.subtree_control"
    return file.read_text().split() if file.exists() else []


def why_none() -> str | None:
    """Why no memory cgroup can be made here; None where one can."""
    try:
        with limited_cgroup(1 << 30):
            return None
    except pytest.skip.Exception as reason:
        return str(reason)


@contextmanager
def limited_cgroup(limit: int):
    """A new memory cgroup (v1, else v2) with that limit; yields the file that takes processes in. Skips the test
    where none can be made."""
    name = f"heapecho-test-{os.getpid()}"
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    if (v1 / "memory.limit_in_bytes").exists():
        group, limits, tasks = v1 / name, {"memory.limit_in_bytes": limit}, "tasks"
    elif "memory" in controllers(v2):
        group, limits, tasks = v2 / name, {"memory.max": limit, "memory.swap.max": 0}, "cgroup.procs"
    else:
        pytest.skip("no memory cgroup can be made here: no controller")
    try:
        group.mkdir()
        for file, value in limits.items():
            if (group / file).exists():
                (group / file).write_text(str(value))
    except OSError as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"no memory cgroup can be made here: {error}")
    try:
        yield group / tasks
    finally:
        group.rmdir()
