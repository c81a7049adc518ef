# SPDX-License-Identifier: Apache-2.0
"""Many processes, from two hosts, write to one directory at once: no two names collide, no process is lost, and every
recording says what its process held."""

import shutil
import subprocess
from collections import Counter

import pytest

import harness
import wire

# Each round runs so many at a time, and each of them so many forks and threads: in the long form 64 processes, 1,024
# threads and 10,048 forks, in the short one the same in small.
AT_ONCE = 64 if harness.FULL else 8
FORKS = 157 if harness.FULL else 10
THREADS = 16 if harness.FULL else 4
OTHER_HOST = "another-host"


def hosts() -> list[list[str]]:
    """The beginning of a command line for each host: this one, and one by another name where that can be had."""
    other = ["unshare", "--uts", "sh", "-c", f'hostname {OTHER_HOST} && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*other, "true"], capture_output=True).returncode != 0:
        return [[]]
    return [[], other]


def test_many_processes_of_two_hosts_share_a_directory(directory, capsys):
    places = hosts()
    if len(places) == 1:
        with capsys.disabled():
            print("\nNote: no second host name can be had here: all processes are of one host")
    # A budget whose live set has room for what all threads of a process hold: nothing is thinned, sums are exact.
    environment = harness.recording_environment(directory, 1, HEAPECHO_BUDGET="16MiB", HEAPECHO_KEEP="64GiB",
                                                HEAPECHO_ONLY="crowd")
    running = [subprocess.Popen([*places[i % len(places)], harness.program("crowd"), str(FORKS), str(THREADS)],
                                env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
               for i in range(AT_ONCE)]
    said = []
    try:
        for process in running:
            out, err = process.communicate(timeout=harness.DEADLINE_S * (6 if harness.FULL else 1))
            assert (process.returncode, err) == (0, b""), err
            said += harness.json_lines(out)
    finally:
        for process in running:
            process.kill()
    assert len(said) == AT_ONCE * (FORKS + 1)
    files = harness.recordings(directory)
    assert not list(directory.glob("*.new")), "each that was begun is done"
    assert len(files) == len(said), "a recording each, none lost and none too many"
    heads = {path: wire.read_header(path) for path in files}
    assert len({head.id for head in heads.values()}) == len(files), "no two of one id"
    assert sorted(head.pid for head in heads.values()) == sorted(line["pid"] for line in said)
    ends = Counter((head.process_end, head.exit_status) for head in heads.values())
    assert ends == {(wire.EXITED, 0): AT_ONCE, (wire.EXITED, 7): AT_ONCE * FORKS}
    # One report over all of them: what was inherited counts once, at the parents.
    parsed = harness.report(directory)
    seen = harness.by_site(parsed)
    for site in ("site_child", "site_thread"):
        total = sum(line["size"] * line["live"] for line in said if line["site"] == site)
        assert seen[site].bytes == total, site
    parents = {row["id"]: row["host"] for row in parsed["recordings"] if "parent_id" not in row}
    assert len(parents) == AT_ONCE and Counter(parents.values()) == Counter(
        {row["host"]: AT_ONCE // len(places) for row in parsed["recordings"]})
    assert all(parents[row["parent_id"]] == row["host"] for row in parsed["recordings"] if "parent_id" in row)
    rules = Counter(finding["rule"] for finding in parsed["findings"])
    assert rules == ({"several_instances": 1} if len(places) == 2 else {}), parsed["findings"]
    groups = [group for group in parsed["workers"] if "parent_id" in group]  # the others are those that were started
    assert sum(len(group["generations"]) for group in groups) == AT_ONCE * FORKS
    assert not any(group["restart_loop"] for group in groups)


def test_many_writers_at_once_keep_their_directory_within_its_bytes(directory):
    """Each makes room for itself, beside others that do the same."""
    at_once, keep = 8, 16 << 20
    environment = harness.recording_environment(directory, 1, HEAPECHO_BUDGET="4MiB", HEAPECHO_KEEP=str(keep))
    running = [subprocess.Popen([harness.program("crowd"), "15", "2"], env=environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(at_once)]
    began = 0
    for process in running:
        out, err = process.communicate(timeout=harness.DEADLINE_S)
        assert (process.returncode, err) == (0, b""), err
        began += len(harness.json_lines(out))
    files = harness.recordings(directory)
    sizes = [path.stat().st_blocks * 512 for path in files]
    assert began == at_once * 16 and len(files) < began, "there was more than it may hold"
    # All that begin at one moment see the same room.
    assert sum(sizes) <= keep + at_once * max(sizes)
    parsed = harness.report(directory)
    assert len(parsed["recordings"]) == len(files)
    assert all(row["drops"]["children_not_recorded"] == 0 for row in parsed["recordings"]), "somebody always may go"
