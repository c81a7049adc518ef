# SPDX-License-Identifier: Apache-2.0
"""Each process has its own recording; a forked one knows its parent's and what it inherited."""

import pytest

import harness
import wire

PARENTS = "parent"


def by_pid(directory) -> dict[int, list]:
    found: dict[int, list] = {}
    for path in harness.recordings(directory):
        found.setdefault(wire.Recording(path).header.pid, []).append(path)
    return found


@pytest.mark.parametrize("interval, mapped", [(1, "1"), (4096, "1"), (1, "0")])
def test_each_worker_has_its_recording_and_its_inherited_blocks(interval, mapped, directory):
    workers = 3
    done = harness.execute([harness.program("prefork"), workers, 3000],
                           harness.recording_environment(directory, interval, HEAPECHO_MAP=mapped))
    assert done.returncode == 0, done.stderr
    lines = harness.json_lines(done.stdout)
    parents = {line["pid"]: line["parent"] for line in lines if PARENTS in line}
    statuses = {line["pid"]: line["status"] for line in lines if PARENTS in line}
    pids = {line["pid"] for line in lines if "site" in line}
    assert len(pids) == workers + 2, "a master, its workers and a grandchild"
    paths = {pid: only for pid, (only,) in by_pid(directory).items()}
    assert set(paths) == pids
    heads = {pid: wire.Recording(path).header for pid, path in paths.items()}
    assert len({head.id for head in heads.values()}) == len(pids), "no two recordings have one name"
    for pid, parent in parents.items():
        assert heads[pid].parent_id == heads[parent].id
        assert heads[pid].ppid == parent
        assert heads[pid].forked_at_ns > 0
        assert (heads[pid].process_end, heads[pid].exit_status) == (wire.EXITED, statuses[pid])
    (master,) = pids - set(parents)
    assert heads[master].parent_id == bytes(16)
    if interval == 1:
        for pid, path in paths.items():
            harness.check_exactly(path, harness.truth(done.stdout, "live", pid), "live")
            seen = harness.estimates(path, value="allocated")
            for name, sizes in harness.truth(done.stdout, "allocated", pid).items():
                total = sum(size * blocks for size, blocks in sizes.items())
                assert (seen[name].bytes if name in seen else 0) == total, f"{name} allocated by {pid} itself"
    else:
        # Processes draw their own samples: the workers allocate the same blocks at the same addresses.
        sampled = {pid: {live.address for live in wire.Recording(path).live
                         if live.time_ns > heads[pid].forked_at_ns}
                   for pid, path in paths.items() if parents.get(pid) == master}
        assert len({frozenset(addresses) for addresses in sampled.values()}) == workers


def test_one_report_over_all_processes_counts_inherited_blocks_once(directory):
    done = harness.execute([harness.program("prefork"), 3, 3000], harness.recording_environment(directory, 1))
    merged = harness.estimates(directory)
    own = harness.truth(done.stdout, "live")["site_worker"]
    (master,) = {line["parent"] for line in harness.json_lines(done.stdout) if PARENTS in line} - {
        line["pid"] for line in harness.json_lines(done.stdout) if PARENTS in line}
    masters = harness.truth(done.stdout, "live", master)["site_master"]
    assert merged["site_master"].objects == sum(masters.values())
    # Each worker's own blocks; the grandchild's inherited ones are its parent's.
    grandchild_inherited = 1500
    assert merged["site_worker"].objects == sum(own.values()) - grandchild_inherited


def test_fork_while_other_threads_allocate(directory):
    children = 200 if harness.FULL else 40
    command = [harness.program("fork_under_load"), children]
    without = harness.execute(command, harness.plain_environment())
    done = harness.execute(command, harness.recording_environment(directory, interval=1024))
    assert (done.stdout, done.stderr, done.returncode) == (without.stdout, without.stderr, without.returncode)
    found = by_pid(directory)
    assert all(len(paths) == 1 for paths in found.values())
    assert len(found) == children + 1
    heads = [wire.Recording(path).header for paths in found.values() for path in paths]
    (master,) = [head for head in heads if head.parent_id == bytes(16)]
    assert all(head.parent_id == master.id and head.process_end == wire.EXITED
               for head in heads if head is not master)
    harness.report(directory)


def test_exec_ends_one_recording_and_begins_the_next(directory):
    command = [harness.program("exec_chain"), 3]
    done = harness.execute(command, harness.recording_environment(directory, interval=1))
    assert (done.returncode, done.stderr) == (12, b"")
    assert done.stdout == b"generation 3\ngeneration 2\ngeneration 1\n"
    ((_, paths),) = by_pid(directory).items()
    assert len(paths) == 3
    read = sorted((wire.Recording(path).header.begin_ns, path) for path in paths)
    for place, (_, path) in enumerate(read):
        head = wire.Recording(path).header
        last = place == len(read) - 1
        assert head.process_end == (wire.EXITED if last else wire.EXEC)
        assert head.parent_id == bytes(16), "exec is no fork"
        (process,) = harness.report(path)["recordings"]
        assert process["end"] == ("exited" if last else "exec")
        # The exec that was refused halfway ended nothing: what came after it is there.
        seen = harness.estimates(path)
        assert (seen["site_generation"].objects, seen["site_after_refusal"].objects) == (1000, 1000)


def test_vfork_children_leave_their_parents_recording_as_it_was(directory):
    command = [harness.program("vfork_children"), 40]
    without = harness.execute(command, harness.plain_environment())
    done = harness.execute(command, harness.recording_environment(directory, interval=1))
    assert done.returncode == without.returncode == 0
    assert harness.json_lines(done.stdout)[-1] == harness.json_lines(without.stdout)[-1]
    paths = [path for path in harness.recordings(directory) if path.name.startswith("vfork_children")]
    assert len(paths) == 1, "a vfork child is no process of its own yet"
    for value in ("live", "allocated"):
        said = harness.truth(done.stdout, value)
        said["site_in_vfork"] = {1000: 0}
        harness.check_exactly(paths[0], said, value)
    head = wire.Recording(paths[0]).header
    assert (head.process_end, head.exit_status in (0, -1)) == (wire.EXITED, True)
