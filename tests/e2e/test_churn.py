# SPDX-License-Identifier: Apache-2.0
"""What came and went leaves nothing behind; a live set that overflows is thinned without bias."""

import pytest

import estimator
import harness
import wire

BLOCKS = 10_000_000 if harness.FULL else 600_000


def check_sums(recording: wire.Recording) -> None:
    """The header's sums are those of the live records, to the last bit: nothing that went left a trace."""
    head, one = recording.header, wire.FIXED_POINT_ONE
    assert head.live_bytes == (sum(round(live.size * live.weight * one) for live in recording.live) +
                               sum(mapped.counted * mapped.weight for mapped in recording.ranges))
    assert head.live_objects == (sum(round(live.weight * one) for live in recording.live) +
                                 sum(mapped.objects for mapped in recording.ranges))
    if recording.counters["live_thinned"] == 0:  # which weighs what lives anew, not what came and went
        assert head.allocated_bytes - head.freed_bytes == head.live_bytes
        assert head.allocated_objects - head.freed_objects == head.live_objects


@pytest.mark.parametrize("interval", [1, 96, 2048])
def test_after_churn_the_live_set_is_empty(interval, directory):
    done = harness.execute([harness.program("churn"), 4, BLOCKS], harness.recording_environment(directory, interval))
    assert done.returncode == 0, done.stderr
    path = harness.only_recording(directory)
    assert harness.estimates(path).get("site_churn") is None
    recording = wire.Recording(path)
    assert recording.torn_live == recording.broken_live == 0
    # What is left is what the C library keeps for its threads.
    assert all(live.size not in range(64, 193, 32) or live.thread == recording.header.pid
               for live in recording.live), recording.live
    assert len(recording.live) <= 64
    check_sums(recording)
    for lost in ("live_set_full", "live_thinned", "free_filter_saturated", "no_scratch_buffer"):
        assert recording.counters[lost] == 0, lost
    if interval == 1:
        harness.check_exactly(path, harness.truth(done.stdout, "allocated"), "allocated")


def test_threads_that_ended_leave_their_live_blocks_and_nothing_else(directory):
    waves = 100 if harness.FULL else 30
    done = harness.execute([harness.program("thread_storm"), waves], harness.recording_environment(directory, 1))
    assert done.returncode == 0, done.stderr
    path = harness.only_recording(directory)
    for value in ("live", "allocated"):
        harness.check_exactly(path, harness.truth(done.stdout, value), value)
    assert wire.Recording(path).header.threads_seen >= waves * 100


def test_thinning_keeps_each_site_unbiased(directory):
    runs = 60 if harness.FULL else 6
    tallies: dict[float, estimator.Tally] = {}
    for run in range(runs):
        folder = directory / str(run)
        folder.mkdir()
        done = harness.execute([harness.program("many_live")], harness.recording_environment(folder, interval=64))
        assert done.returncode == 0, done.stderr
        path = harness.only_recording(folder)
        recording = wire.Recording(path)
        assert recording.counters["live_thinned"] >= 3, "the program holds more samples than the live set follows"
        assert recording.counters["live_set_full"] == 0
        # Every entry has been thinned to the last interval, or was sampled with it.
        assert {live.interval for live in recording.live} <= {recording.header.interval_now,
                                                              recording.header.interval_now // 2}
        check_sums(recording)
        # When the last thinning came is chance, so runs are judged by the interval that they ended with.
        interval = recording.header.interval_now
        tally = tallies.setdefault(interval, estimator.Tally(harness.truth(done.stdout, "live"), interval))
        tally.add(harness.estimates(path))
        path.unlink()
    for tally in tallies.values():
        tally.judge_three_errors(None)
        tally.judge_mean(None)
        tally.judge_spread()


def test_thinning_under_threads_keeps_file_and_sums_in_step(directory):
    """What one thread thins while others sample and free is in the file as it is in the live set: no entry comes
    back, none keeps its old weight."""
    done = harness.execute([harness.program("sizes"), 8], harness.recording_environment(directory, interval=64))
    assert done.returncode == 0, done.stderr
    path = harness.only_recording(directory)
    recording = wire.Recording(path)
    assert recording.counters["live_thinned"] >= 3
    assert recording.torn_live == recording.broken_live == 0
    assert len({live.address for live in recording.live}) == len(recording.live)
    check_sums(recording)
