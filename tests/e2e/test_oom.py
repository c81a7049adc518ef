# SPDX-License-Identifier: Apache-2.0
"""A real OOM kill in a memory cgroup: the recording opens and shows what filled the limit."""

import signal

import pytest

import harness
import wire
from cgroup import limited_cgroup

LIMIT = 96 << 20


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
