# SPDX-License-Identifier: Apache-2.0
"""Known programs, many seeds: each process draws its own, so 200 runs are 200 seeds.

The long form holds 200 runs to the product's promise: 99 % of (run, site) pairs within 3 printed errors, and a
mean error below 1 %. The short form runs fewer and demands as much as estimator.ODDS allow.
"""

import pytest

import estimator
import harness

INTERVAL = 8192

# name: runs in the long form, command. A program of few sites runs more often, so that 1 % of its pairs is a bound
# that a right implementation keeps.
PROGRAMS = {
    "one thread": (200, ["sizes", 1]),
    "eight threads, freed by neighbours": (200, ["sizes", 8]),
    "realloc chains": (500, ["realloc_chains", 100]),
    "every entry point": (200, ["entry_points", 20000]),
}
SHORT_RUNS = 12


@pytest.mark.parametrize("name", PROGRAMS)
def test_estimates_by_site_are_unbiased_and_within_their_errors(name, directory):
    long_runs, (program, *arguments) = PROGRAMS[name]
    command = [harness.program(program), *arguments]
    tallies: dict[str, estimator.Tally] = {}
    for run in range(long_runs if harness.FULL else SHORT_RUNS):
        run_directory = directory / str(run)
        run_directory.mkdir()
        done = harness.execute(command, harness.recording_environment(run_directory, INTERVAL))
        assert done.returncode == 0, done.stderr
        path = harness.only_recording(run_directory)
        for value in ("live", "allocated"):
            tally = tallies.setdefault(value, estimator.Tally(harness.truth(done.stdout, value), INTERVAL))
            tally.add(harness.estimates(path, value=value))
        path.unlink()
    for tally in tallies.values():
        tally.judge_three_errors(0.01 if harness.FULL else None)
        tally.judge_mean(0.01 if harness.FULL else None)
        tally.judge_spread()


@pytest.mark.parametrize("command", [["realloc_chains", 10], ["entry_points", 500],
                                     ["page_aligned", 500], ["c23_free"]],
                         ids=lambda command: command[0])
def test_at_interval_one_every_site_is_exact(command, directory):
    done = harness.execute([harness.program(command[0]), *command[1:]],
                           harness.recording_environment(directory, interval=1))
    assert done.returncode == 0, done.stderr
    path = harness.only_recording(directory)
    for value in ("live", "allocated"):
        harness.check_exactly(path, harness.truth(done.stdout, value), value)


def test_the_peak_is_what_was_live_when_most_was(directory):
    """The program frees nothing before all that it allocates is there."""
    done = harness.execute([harness.program("sizes"), 4], harness.recording_environment(directory, INTERVAL))
    path = harness.only_recording(directory)
    tally = estimator.Tally(harness.truth(done.stdout, "allocated"), INTERVAL)
    tally.add(harness.estimates(path, value="peak"))
    tally.judge_three_errors(None)
