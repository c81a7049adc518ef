# SPDX-License-Identifier: Apache-2.0
"""The same programs over glibc's malloc, jemalloc, tcmalloc and mimalloc, preloaded after ours and linked."""

import pytest

import allocators
import harness
import wire

LINKED = ("jemalloc", "tcmalloc_minimal", "mimalloc")


def linked(name: str, allocator: str):
    path = harness.program(f"{name}_{allocator}")
    if not path.exists():
        pytest.skip(f"{path.name} is not built: no {allocator} on the machine that built")
    return path


def run_both(path, arguments, directory, interval, allocator=None):
    """Without heapecho (but over the same allocator) and with it."""
    bare = harness.plain_environment(**({} if allocator is None else {"LD_PRELOAD": str(allocator)}))
    without = harness.execute([path, *arguments], bare)
    done = harness.execute([path, *arguments], harness.recording_environment(directory, interval, allocator))
    assert (done.returncode, done.stderr) == (without.returncode, without.stderr)
    return done, without


def check_allocator(path, name: str) -> None:
    """The recording was made over the allocator that the test names."""
    text = harness.execute([harness.COMMAND, "dump", path], harness.plain_environment()).stdout.decode()
    file = "libc" if name == "glibc" else allocators.FILES[name][0].split(".so")[0]
    lines = [line for line in text.splitlines() if "allocator" in line.lower()]
    assert any(file in line for line in lines), lines


@pytest.mark.parametrize("allocator", allocators.NAMES)
def test_every_entry_point_is_counted_once_over(allocator, directory):
    done, _ = run_both(harness.program("entry_points"), [800], directory, 1, allocators.path_of(allocator))
    assert done.returncode == 0, done.stderr
    path = harness.only_recording(directory)
    for value in ("live", "allocated"):
        harness.check_exactly(path, harness.truth(done.stdout, value), value)
    check_allocator(path, allocator)


@pytest.mark.parametrize("allocator", LINKED)
def test_every_entry_point_is_counted_once_where_the_program_brings(allocator, directory):
    done, _ = run_both(linked("entry_points", allocator), [800], directory, 1)
    assert done.returncode == 0, done.stderr
    path = harness.only_recording(directory)
    for value in ("live", "allocated"):
        harness.check_exactly(path, harness.truth(done.stdout, value), value)
    check_allocator(path, allocator)


@pytest.mark.parametrize("name", ["realloc_chains", "thread_storm", "churn"])
@pytest.mark.parametrize("allocator", LINKED)
def test_chains_and_threads_are_exact_over(allocator, name, directory):
    arguments = {"realloc_chains": [10], "thread_storm": [10], "churn": [4, 100_000]}[name]
    done, _ = run_both(harness.program(name), arguments, directory, 1, allocators.path_of(allocator))
    assert done.returncode == 0, done.stderr
    path = harness.only_recording(directory)
    for value in ("live", "allocated"):
        harness.check_exactly(path, harness.truth(done.stdout, value), value)
    assert wire.Recording(path).counters["live_set_full"] == 0


@pytest.mark.parametrize("interval", [1, 1024])
@pytest.mark.parametrize("name", ["bad_alloc", "malloc_contract"])
@pytest.mark.parametrize("allocator", allocators.NAMES)
def test_failure_and_edges_are_the_allocators_own_over(allocator, name, interval, directory):
    done, without = run_both(harness.program(name), [], directory, interval, allocators.path_of(allocator))
    assert done.stdout == without.stdout


@pytest.mark.parametrize("name", ["bad_alloc", "malloc_contract"])
@pytest.mark.parametrize("allocator", LINKED)
def test_failure_and_edges_are_the_allocators_own_where_the_program_brings(allocator, name, directory):
    done, without = run_both(linked(name, allocator), [], directory, 1)
    assert done.stdout == without.stdout


@pytest.mark.parametrize("name", ["entry_points_static_jemalloc", "bad_alloc_static_jemalloc",
                                  "malloc_contract_static_jemalloc", "own_allocator"])
def test_an_allocator_inside_the_executable_serves_as_without(name, directory):
    """Its functions come before ours; what it does not define must still end in it, as without heapecho."""
    path = harness.program(name)
    if not path.exists():
        pytest.skip(f"{name} is not built: no jemalloc to link statically on the machine that built")
    without = harness.execute([path, 500], harness.plain_environment())
    done = harness.execute([path, 500], harness.recording_environment(directory, interval=1))
    assert done.returncode == without.returncode == 0
    assert harness.without_pids(done.stdout) == harness.without_pids(without.stdout)
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("heapecho: not recording: ")
    assert harness.recordings(directory) == []


def test_jemallocs_extended_calls_are_counted_at_their_callers(directory):
    path = harness.program("jemalloc_extended")
    if not path.exists():
        pytest.skip("jemalloc_extended is not built: no jemalloc headers on the machine that built")
    done, _ = run_both(path, [1500], directory, 1)
    assert done.returncode == 0, done.stderr
    recording = harness.only_recording(directory)
    for value in ("live", "allocated"):
        harness.check_exactly(recording, harness.truth(done.stdout, value), value)


@pytest.mark.parametrize("allocator", LINKED)
@pytest.mark.parametrize("name", ["exceptions", "fork_under_load", "thread_ends", "signal_storm"])
def test_programs_that_profilers_trip_over_run_over(allocator, name, directory):
    arguments = {"fork_under_load": [20], "thread_ends": [200], "signal_storm": [1000]}.get(name, [])
    done, without = run_both(harness.program(name), arguments, directory, 1024, allocators.path_of(allocator))
    if name != "thread_ends":  # says its process id
        assert done.stdout == without.stdout
