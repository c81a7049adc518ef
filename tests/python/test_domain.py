# SPDX-License-Identifier: Apache-2.0
"""Objects of CPython's own allocator: each is seen, once, with its size; and the interpreter notices nothing."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest

import estimator
import harness
import interpreters
import stacks
import wire

FOLDER = Path(__file__).parent / "domain"
PYTHON = 1        # wire Domain
LARGEST_SMALL = 512


def each_interpreter(test):
    return pytest.mark.parametrize("interpreter", interpreters.FOUND, ids=lambda interpreter: interpreter.name)(test)


def recording_of(directory: Path, pid: int | None = None) -> stacks.StackRecording:
    found = [stacks.StackRecording(path) for path in harness.recordings(directory)]
    found = [recording for recording in found if recording.identity[stacks.PYTHON_VERSION]]
    assert len(found) == 1, [path.name for path in harness.recordings(directory)]
    return found[0]


@each_interpreter
def test_blocks_of_both_domains_are_seen_once_each_with_their_size_and_domain(interpreter, directory):
    interval = 1024
    done = harness.execute([interpreter.path, "-S", FOLDER / "objects.py"],
                           harness.recording_environment(directory, interval))
    assert done.returncode == -9, done.stderr.decode()[-2000:]
    truth = harness.truth(done.stdout, "live")
    recording = recording_of(directory)
    assert recording.counters["live_thinned"] == 0 and recording.counters["objects_not_from_malloc"] == 0
    seen = defaultdict(Counter)
    for block in recording.live:
        site = next((name for name, _, _ in recording.stack(block.stack).python if name.startswith("site_")), None)
        seen[site][block.size, recording.domain(block.stack)] += 1
    for site, sizes in truth.items():
        got = Counter({size: blocks for (size, domain), blocks in seen[site].items() if domain == PYTHON})
        # What the interpreter keeps for itself meanwhile is of other sizes.
        assert not [size for (size, domain) in seen[site] if domain != PYTHON and size in sizes], site
        samples = {size: blocks for size, blocks in got.items() if size in sizes}
        estimate = sum(blocks * size / estimator.probability(size, interval) for size, blocks in samples.items())
        errors = abs(estimate - estimator.total_bytes(sizes)) / estimator.variance(sizes, interval) ** 0.5
        assert errors < 5, f"{site}: {estimate} for {sizes}"  # one in two million, of some sixty
        for size, blocks in sizes.items():
            p = estimator.probability(size, interval)
            assert abs(samples.get(size, 0) - blocks * p) <= 6 * (blocks * p * (1 - p)) ** 0.5 + 6, f"{site}, {size}"


@each_interpreter
def test_frames_alone_leave_the_allocator_to_the_interpreter(interpreter, directory):
    interval = 1024
    script = f"import runpy, sys; sys._debugmallocstats(); runpy.run_path({str(FOLDER / 'objects.py')!r}, run_name='__main__')"
    done = harness.execute([interpreter.path, "-S", "-c", script],
                           harness.recording_environment(directory, interval, HEAPECHO_PYTHON="frames"))
    assert done.returncode == -9, done.stderr.decode()[-2000:]
    assert b"num pools" in done.stderr, "it shows its pools only where its allocator is its own"
    recording = recording_of(directory)
    assert recording.identity[stacks.PYTHON_WALK] == ["full"]
    assert not [block for block in recording.live if recording.domain(block.stack) == PYTHON]
    for site, sizes in harness.truth(done.stdout, "live").items():
        large = {size: blocks for size, blocks in sizes.items() if size > LARGEST_SMALL}
        seen = Counter(block.size for block in recording.live
                       if site in [name for name, _, _ in recording.stack(block.stack).python])
        for size, blocks in large.items():
            p = estimator.probability(size, interval)
            assert abs(seen[size] - blocks * p) <= 6 * (blocks * p * (1 - p)) ** 0.5 + 6, f"{site}, {size}"


@each_interpreter
def test_the_interpreter_counts_as_many_blocks_as_without(interpreter, directory):
    command = [interpreter.path, FOLDER / "counts.py"]
    without = harness.execute(command, harness.plain_environment(PYTHONHASHSEED="0"))
    preloaded = harness.execute(command, harness.recording_environment(directory, 1024, PYTHONHASHSEED="0"))
    assert (without.returncode, preloaded.returncode) == (-9, -9), preloaded.stderr.decode()[-2000:]
    assert preloaded.stdout == without.stdout, "sys.getallocatedblocks()"
    recording = recording_of(directory)
    assert recording.identity[stacks.PYTHON_DOMAIN] == ["hooked"]
    sampled = [block for block in recording.live
               if recording.domain(block.stack) == PYTHON and block.size <= LARGEST_SMALL
               and any(name == "site_made" for name, _, _ in recording.stack(block.stack).python)]
    assert len(sampled) > 300, "some of the blocks are sampled ones"


def shared_library(interpreter) -> Path:
    """The interpreter as a library; skips where there is none."""
    ask = "import sysconfig as s; print(s.get_config_var('LIBDIR'), s.get_config_var('INSTSONAME'), s.get_config_var('prefix'))"
    folder, name, prefix = harness.execute([interpreter.path, "-c", ask],
                                           harness.plain_environment()).stdout.decode().split()
    for path in (Path(folder) / name, Path(prefix) / "lib" / name):
        if ".so" in path.name and path.exists():
            return path
    pytest.skip(f"{interpreter} is not there as a shared library")


@each_interpreter
@pytest.mark.parametrize("lives", [1, 3])
def test_an_interpreter_that_a_program_loads_for_itself_is_met_as_any_other(interpreter, lives, directory):
    library = shared_library(interpreter)
    home = {"PYTHONHOME": str(interpreter.path.resolve().parent.parent)}
    interval = 1024
    command = [harness.program("embedded_python"), library, lives, "-S", FOLDER / "held.py", *["on"] * (lives > 1)]
    done = harness.execute(command, harness.recording_environment(directory, interval, **home))
    assert done.returncode == (-9 if lives == 1 else 0), done.stderr.decode()[-2000:]
    ((size, blocks),) = harness.truth(done.stdout, "live")["site_held_bytes"].items()
    assert len(harness.json_lines(done.stdout)) == lives
    recording = recording_of(directory)
    assert recording.identity[stacks.PYTHON_DOMAIN] == ["hooked"]
    assert recording.identity[stacks.PYTHON_WALK] == ["full"]
    if lives == 1:
        seen = sum(block.size == size and recording.domain(block.stack) == PYTHON
                   and "site_held_bytes" in [name for name, _, _ in recording.stack(block.stack).python]
                   for block in recording.live)
        p = estimator.probability(size, interval)
        assert abs(seen - blocks * p) < 5 * (blocks * p * (1 - p)) ** 0.5  # one in two million


SETTINGS = {  # what is set: what is to be said of the domain; None: as each version has it
    (): "hooked",
    (("PYTHONMALLOC", "pymalloc"),): "hooked",
    (("PYTHONMALLOC", "default"),): "hooked",
    (("PYTHONMALLOC", "malloc"),): "not hooked: its objects come from malloc",
    (("PYTHONMALLOC", "malloc_debug"),): "not hooked: debug functions or another tool's are in front of its allocator",
    (("PYTHONMALLOC", "pymalloc_debug"),): "not hooked: debug functions or another tool's are in front of its allocator",
    (("PYTHONMALLOC", "debug"),): "not hooked: debug functions or another tool's are in front of its allocator",
    (("PYTHONMALLOC", "mimalloc"),): "not hooked: its objects do not come from pymalloc",
    (("PYTHONDEVMODE", "1"),): "not hooked: debug functions or another tool's are in front of its allocator",
    (("PYTHONTRACEMALLOC", "5"),): "hooked",
    (("PYTHONTRACEMALLOC", "1"), ("PYTHONMALLOC", "pymalloc")): "hooked",
    (("HEAPECHO_PYTHON", "frames"),): "not hooked: HEAPECHO_PYTHON=frames",
    (("HEAPECHO_PYTHON", "off"),): "not hooked: HEAPECHO_PYTHON=off",
}


@each_interpreter
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: ",".join(map("=".join, setting)) or "none")
def test_every_setting_of_the_allocator_starts_unharmed_and_is_said(interpreter, setting, directory):
    command = [interpreter.path, FOLDER / "plain.py"]
    without = harness.execute(command, harness.plain_environment(**dict(setting)))
    if b"unknown allocator" in without.stderr:
        pytest.skip(f"{interpreter} does not know {setting}")
    preloaded = harness.execute(command, harness.recording_environment(directory, 1024, **dict(setting)))
    assert (preloaded.returncode, preloaded.stdout, preloaded.stderr) == (
        without.returncode, without.stdout, without.stderr)
    assert without.returncode == 0, without.stderr.decode()
    recording = recording_of(directory)
    expected = SETTINGS[setting]
    if expected == "hooked" and ("PYTHONTRACEMALLOC", "1") in setting:
        # Set explicitly, and something is in front by the time it can be looked at: pymalloc cannot be told from there.
        assert recording.identity[stacks.PYTHON_DOMAIN][-1].startswith(("hooked", "not hooked: debug functions"))
        return
    assert recording.identity[stacks.PYTHON_DOMAIN][-1] == expected
    said = harness.report(*harness.recordings(directory))["recordings"][0]["python"]
    assert said["domain"] == expected.partition(": ")[0]
    assert said.get("domain_reason", "") == expected.partition(": ")[2]
