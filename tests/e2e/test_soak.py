# SPDX-License-Identifier: Apache-2.0
"""Days of traffic in a minute: disk and memory stay bounded, sums stay right, a slow leak is found with its rate.

The clocks of the wall are sped up by a library beside the preload (tests/programs/fast_clock.cc), and every byte is
sampled, so that each allocation and each free is an event. The long form has more than 10^7 of them.
"""

import csv
import io
import json
import math
import subprocess
import threading

import pytest

import harness

BLOCKS = 70_000_000 if harness.FULL else 300_000
FAST_CLOCK = 20_000
BUDGET = (64 if harness.FULL else 16) << 20


@pytest.fixture(scope="module")
def soak(tmp_path_factory):
    """Runs it once: (directory, what it said, the most bytes of disk that were seen while it ran)."""
    directory = tmp_path_factory.mktemp("soak")
    environment = harness.recording_environment(directory, 1, HEAPECHO_BUDGET=str(BUDGET), FAST_CLOCK=str(FAST_CLOCK))
    environment["LD_PRELOAD"] += f":{harness.program('fast_clock.so')}"
    process = subprocess.Popen([harness.program("soak"), str(BLOCKS)], env=environment, stdout=subprocess.PIPE)
    most_disk, over = 0, threading.Event()

    def watch():
        nonlocal most_disk
        while not over.wait(0.02):
            for path in directory.iterdir():
                try:
                    most_disk = max(most_disk, path.stat().st_blocks * 512)
                except FileNotFoundError:
                    pass
    watcher = threading.Thread(target=watch)
    watcher.start()
    said, _ = process.communicate(timeout=harness.DEADLINE_S * 10)
    over.set()
    watcher.join()
    assert process.returncode == 0
    return directory, said, most_disk


def marks(said):
    return [line for line in harness.json_lines(said) if "mark_ns" in line]


def leaked_at(said, ns):
    """What had been leaked at that moment, between two marks in proportion."""
    points = marks(said)
    for one, two in zip(points, points[1:]):
        if one["mark_ns"] <= ns <= two["mark_ns"]:
            part = (ns - one["mark_ns"]) / (two["mark_ns"] - one["mark_ns"])
            return one["leaked"] + part * (two["leaked"] - one["leaked"])
    return points[-1]["leaked"] if ns > points[-1]["mark_ns"] else points[0]["leaked"]


def test_days_went_by(soak):
    directory, said, _ = soak
    points = marks(said)
    days = (points[-1]["mark_ns"] - points[0]["mark_ns"]) / 86400e9
    parsed = harness.report(harness.only_recording(directory), value="allocated")
    recording = parsed["recordings"][0]
    frees = BLOCKS - sum(kinds.get("live", 0) for kinds in harness.json_lines(said) if "site" in kinds)
    events = recording["samples"] + frees * recording["samples"] / BLOCKS
    print(f"{recording['samples']} samples, about {events:.0f} events, {days:.1f} days, {recording['disk_bytes']} bytes")
    if harness.FULL:
        assert events >= 1e7 and days >= 2


def test_disk_is_never_over_the_budget(soak):
    directory, _, most_disk = soak
    path = harness.only_recording(directory)
    assert 0 < most_disk <= BUDGET
    assert path.stat().st_size <= BUDGET


def test_memory_is_flat_but_for_what_the_program_leaks(soak):
    _, said, _ = soak
    points = marks(said)
    early, late = points[len(points) // 4], points[-1]
    grown = (late["anonymous_kib"] - early["anonymous_kib"]) << 10
    # malloc rounds a block of 200 bytes up to 208; a page of tables here and there.
    leaked = (late["leaked"] - early["leaked"]) * 208 / 200
    assert grown <= leaked + (1 << 20), (grown, leaked)


def variance(size, count, interval):
    """Of the estimate of `count` blocks that are sampled at `interval` (field: Poisson over bytes)."""
    p = 1 - math.exp(-size / interval)
    return count * size ** 2 * (1 - p) / p


def test_sums_are_the_truth_within_their_errors(soak):
    directory, said, _ = soak
    path = harness.only_recording(directory)
    # Since the live set was thinned every block counts as one of the last, longest interval; before, it had a shorter one.
    interval = harness.report(path)["recordings"][0]["interval_bytes"]
    for value in ("allocated", "live"):
        true, estimates = harness.truth(said, value), harness.estimates(path, value=value)
        sums = {"caches": [0, 0, 0], "leak": [0, 0, 0]}
        for site, sizes in true.items():
            entry = sums["leak" if site == "site_leak" else "caches"]
            entry[0] += estimates[site].bytes if site in estimates else 0
            for size, count in sizes.items():
                entry[1] += size * count
                entry[2] += variance(size, count, interval)
        for name, (estimate, expected, most_variance) in sums.items():
            print(f"{value} {name}: {estimate:.0f} of {expected}, error {math.sqrt(most_variance):.0f}")
            # Five errors: one in 1.7 million, four times.
            assert abs(estimate - expected) <= 5 * math.sqrt(most_variance) + 1, (value, name)


def test_the_slow_leak_is_first_in_what_grew_and_its_rate_is_right(soak):
    directory, said, _ = soak
    path = harness.only_recording(directory)
    done = harness.execute([harness.COMMAND, "report", path, "--value", "grown", "--json"], harness.plain_environment())
    assert done.returncode == 0, done.stderr
    parsed = json.loads(done.stdout)
    first = parsed["sites"][0]
    assert any(frame["function"] == "site_leak" for frame in first["frames"]), first
    window = parsed["recordings"][0]["growth"]
    end_ns = marks(said)[-1]["mark_ns"]
    rate = (leaked_at(said, end_ns) - leaked_at(said, end_ns - window["seconds"] * 1e9)) / window["seconds"]
    print(f"rate {first['growth_bytes_per_s']:.3f} of {rate:.3f} bytes a second over {window['seconds'] / 86400:.2f} days")
    assert abs(first["growth_bytes_per_s"] / rate - 1) < 0.1


def test_the_history_covers_the_whole_run_in_its_space(soak):
    directory, said, _ = soak
    done = harness.execute([harness.COMMAND, "timeline", directory, "--csv", "-"], harness.plain_environment())
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    points = marks(said)
    seconds = (points[-1]["mark_ns"] - points[0]["mark_ns"]) / 1e9
    covered = sum(float(row["covers_s"]) for row in rows)
    assert 50 < len(rows) <= 512
    # Between two points that were not merged lies time that neither stands for: a look's pause.
    assert covered <= seconds + 60
    live = [float(row["live"]) for row in rows]
    assert live[-1] > live[len(live) // 2] > live[5]
