# SPDX-License-Identifier: Apache-2.0
"""Programs that do what profilers trip over: the same output and status with and without the preload, and, where
a program says its truth, the recording agrees to the last block."""

import signal

import pytest

import harness
import wire

# What each is run with; at an interval of 1 each allocation takes the sampled path.
OUTPUT_ONLY = {
    "exceptions": [],
    "longjmp": [],
    "signal_storm": [20000 if harness.FULL else 3000],
    "malloc_contract": [],
    "bad_alloc": [],
}
WITH_TRUTH = {
    "alternate_stack": [],
    "coroutines": [5000],
    "deep_recursion": [5000],
    "dlopen_under_load": [harness.program("plugin_a.so"), harness.program("plugin_b.so"),
                          1000 if harness.FULL else 100],
    "small_stacks": [],
    "thread_ends": [1000],
}


def run_both(name: str, arguments: list, directory, interval: int, **extra):
    """Runs it without and with the preload, and holds the one against the other."""
    command = [harness.program(name), *arguments]
    without = harness.execute(command, harness.plain_environment())
    done = harness.execute(command, harness.recording_environment(directory, interval, **extra))
    assert done.returncode == without.returncode
    assert harness.without_pids(done.stdout) == harness.without_pids(without.stdout)
    assert done.stderr == without.stderr
    return done


@pytest.mark.parametrize("interval", [1, 1024])
@pytest.mark.parametrize("name", OUTPUT_ONLY)
def test_output_and_status_are_as_without(name, interval, directory):
    run_both(name, OUTPUT_ONLY[name], directory, interval)
    for path in harness.recordings(directory):
        recording = wire.Recording(path)
        assert recording.torn_live == recording.broken_live == 0
        assert recording.header.process_end == wire.EXITED
        harness.report(path)


@pytest.mark.parametrize("name", WITH_TRUTH)
def test_each_block_is_counted_at_its_site(name, directory):
    done = run_both(name, WITH_TRUTH[name], directory, interval=1)
    path = harness.only_recording(directory)
    said = harness.truth(done.stdout, "live")
    seen = harness.estimates(path)
    for site, sizes in said.items():
        total = sum(size * blocks for size, blocks in sizes.items())
        assert seen[site].bytes == total if total else site not in seen, site
    if name != "dlopen_under_load":  # its other sites go round for as long as it takes
        harness.check_exactly(path, harness.truth(done.stdout, "allocated"), "allocated")
    assert wire.Recording(path).header.recording_end == wire.COMPLETE


@pytest.mark.parametrize("name", WITH_TRUTH)
def test_output_and_status_are_as_without_at_a_usual_interval(name, directory):
    run_both(name, WITH_TRUTH[name], directory, interval=1024)


def test_a_frame_of_an_unloaded_library_keeps_its_name(directory):
    arguments = WITH_TRUTH["dlopen_under_load"]
    run_both("dlopen_under_load", arguments, directory, interval=1)
    parsed = harness.report(harness.only_recording(directory), value="allocated")
    for plugin in "ab":
        site = [row for row in parsed["sites"] if any(frame["function"] == f"site_plugin_{plugin}"
                                                      for frame in row["frames"])]
        assert site, f"plugin {plugin} is seen"
        assert sum(row["objects"] for row in site) == 8 * arguments[-1]
        assert {frame["module"] for row in site for frame in row["frames"]
                if frame["function"] == f"site_plugin_{plugin}"} == {f"plugin_{plugin}.so"}


# What the loader finds for whom: by name alone through RPATH or RUNPATH; what an absolute path needs, for nobody.
@pytest.mark.parametrize("opener, found", [("nothing", [0, 0]), ("runpath", [1, 0]), ("rpath", [1, 0])])
def test_dlopen_looks_where_its_caller_s_paths_lead(opener, found, directory):
    names = ["opened.so", harness.program("needs_opened.so"), "$ORIGIN/opened/opened.so"]
    command = [harness.program("opens_by_caller"), harness.program(f"opener_{opener}.so"), *names]
    without = harness.execute(command, harness.plain_environment())
    done = harness.execute(command, harness.recording_environment(directory, 1))
    assert (done.returncode, done.stdout, done.stderr) == (without.returncode, without.stdout, without.stderr)
    assert done.returncode == 0
    # $ORIGIN is the opener's folder, and without a name it is the program that is opened.
    assert [line["found"] for line in harness.json_lines(done.stdout)] == [*found, 1, 1]


def test_a_stack_deeper_than_is_kept_says_so(directory):
    run_both("deep_recursion", [5000], directory, interval=1)
    path = harness.only_recording(directory)
    assert wire.Recording(path).counters["unwind_truncated"] >= 1000
    shallow = directory / "shallow"
    shallow.mkdir()
    run_both("deep_recursion", [100], shallow, interval=1)
    assert wire.Recording(harness.only_recording(shallow)).counters["unwind_truncated"] == 0


# way: what the report says of the end and of the exit status
ENDS = {
    "return": ("exited", 41),
    "exit": ("exited", 42),
    "_exit": ("exited", 43),
    "exit_in_thread": ("exited", 44),
    "_Exit": ("exited", 45),
    "quick_exit": ("exited", 46),
    "pthread_exit": ("exited", 0),
    "abort": ("killed", None),
    "kill": ("killed", None),
    "terminate": ("killed", None),
    "crash": ("killed", None),
}


@pytest.mark.parametrize("way", ENDS)
def test_every_way_to_end_is_as_without_and_is_told(way, directory):
    done = run_both("ends", [way], directory, interval=1)
    path = harness.only_recording(directory)
    (process,) = harness.report(path)["recordings"]
    end, status = ENDS[way]
    assert process["end"] == end
    if end == "exited":
        assert done.returncode == status
        # Main's status passes no function of ours; then it is left open, never guessed.
        assert process["exit_status"] in ((status, None) if way in ("return", "pthread_exit") else (status,))
    else:
        assert done.returncode in [-number for number in (signal.SIGABRT, signal.SIGKILL, signal.SIGTERM,
                                                           signal.SIGSEGV)]
    seen = harness.estimates(path)
    assert seen["site_before_end"].objects == 2000
    handlers = {"return": 100, "exit": 100, "exit_in_thread": 100, "pthread_exit": 100, "quick_exit": 1}
    at_exit = seen["site_at_exit"].objects if "site_at_exit" in seen else 0
    assert at_exit == handlers.get(way, 0), "exit handlers are part of the program"
