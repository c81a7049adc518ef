# SPDX-License-Identifier: Apache-2.0
"""A real OOM kill in a memory cgroup: the recording opens and shows what filled the limit."""

import os
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

import harness
import wire

LIMIT = 96 << 20


def controllers(group: Path) -> list[str]:
    file = group / "cgroup.subtree_control"
    return file.read_text().split() if file.exists() else []


@contextmanager
def limited_cgroup(limit: int):
    """A new memory cgroup (v1, else v2) with that limit; yields the file that takes processes in."""
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


@pytest.mark.parametrize("interval", ["auto", 65536])
def test_after_an_oom_kill_the_recording_names_what_filled_the_limit(interval, directory):
    with limited_cgroup(LIMIT) as tasks:
        done = harness.execute([harness.program("fills_cgroup"), tasks],
                               harness.recording_environment(directory, interval))
    assert done.returncode == -signal.SIGKILL, done.stderr
    path = harness.only_recording(directory)
    recording = wire.Recording(path)
    assert recording.torn_live <= 1 and recording.broken_live == 0
    (process,) = harness.report(path)["recordings"]
    assert process["end"] == "killed"
    seen = harness.estimates(path)
    hog = seen["site_hog"]
    # The hog touched all that it held, so it held no more than the limit; the C library, the modest site (1 MiB),
    # page tables and the recording's own pages took the rest.
    slack = 5 * hog.bytes_error
    assert 0.6 * LIMIT - slack < hog.bytes < LIMIT + slack
    assert hog.bytes == max(site.bytes for site in seen.values())
    assert "site_hog" in harness.report_text(path)
