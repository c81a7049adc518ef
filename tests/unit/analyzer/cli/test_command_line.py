# SPDX-License-Identifier: Apache-2.0
"""The program's words, exit statuses and messages: 0 done, 1 nothing to show, 2 usage or bad input."""

import pytest

from command import heapecho, make_recordings


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return make_recordings(tmp_path_factory.mktemp("recordings"))


def one_line(answer):
    """The one line on stderr that an error is."""
    assert answer.stderr.startswith("heapecho: ") and answer.stderr.endswith("\n")
    assert answer.stderr.count("\n") == 1, answer.stderr
    return answer.stderr


def test_the_version_and_the_help_are_on_stdout():
    version = heapecho("--version")
    assert version.returncode == 0 and version.stdout.startswith("heapecho ") and version.stderr == ""
    help_text = heapecho("help")
    assert help_text.returncode == 0
    for command in ("run", "report", "timeline", "top", "flamegraph", "export", "diff", "check", "dump", "doctor"):
        assert f"\n  {command} " in help_text.stdout
        by_help, by_option = heapecho("help", command), heapecho(command, "--help")
        assert by_help.returncode == 0 and by_help.stdout.startswith(f"usage: heapecho {command} ")
        assert by_option.stdout == by_help.stdout


def test_no_command_is_bad_usage_and_shows_the_help():
    answer = heapecho()
    assert answer.returncode == 2 and answer.stdout == "" and "usage: heapecho" in answer.stderr


@pytest.mark.parametrize("words, named", [
    (["frobnicate"], "frobnicate"),
    (["help", "frobnicate"], "frobnicate"),
    (["--frobnicate"], "--frobnicate"),
    (["report", "--frobnicate", "x"], "--frobnicate"),
    (["report"], "PATH"),
    (["flamegraph", "x", "-o"], "-o"),
    (["flamegraph", "x"], "-o"),
    (["flamegraph", "x", "-o", "picture.png"], "picture.png"),
    (["report", "x", "--value", "dead"], "--value dead"),
    (["report", "x", "--unit", "pages"], "--unit pages"),
    (["report", "x", "--by", "moon"], "--by moon"),
    (["report", "x", "--native", "some"], "--native some"),
    (["report", "x", "--internals=yes"], "--internals"),
    (["report", "x", "--where", "moon=1"], "--where moon=1"),
    (["report", "x", "--top", "few"], "--top few"),
    (["report", "x", "--top", "0"], "--top 0"),
    (["report", "x", "--sysroot", "/nonexistent"], "/nonexistent"),
    (["report", "x", "--lines=yes"], "--lines"),
    (["export", "x"], "--format"),
    (["export", "x", "--format", "smoke"], "--format smoke"),
    (["diff", "x"], "BEFORE and AFTER"),
    (["diff", "x", "y", "z"], "3 were given"),
    (["diff", "x", "y", "--by", "process"], "--by process"),
    (["diff", "x", "y", "--per", "moon"], "--per moon"),
    (["diff", "x", "y", "--requests", "5"], "--requests 5"),
    (["diff", "x", "y", "--requests", "5,0"], "--requests 5,0"),
    (["diff", "x", "y", "--requests", "5,inf"], "--requests 5,inf"),
    (["diff", "x", "y", "--requests", "5,6", "--per", "second"], "--per and --requests"),
    (["diff", "x", "y", "--json", "--format", "folded"], "one of them"),
    (["diff", "x", "y", "--format", "smoke"], "--format smoke"),
    (["diff", "x", "y", "--html", "picture.png"], "picture.png"),
    (["check", "x", "y"], "--fail is missing"),
    (["check", "x", "y", "--fail", "dead+1%"], "--fail dead+1%"),
    (["check", "x", "y", "--fail", "live+1%", "--value", "peak"], "--value"),
    (["check", "x", "y", "--fail", "live+1%", "--odds", "1"], "--odds 1"),
    (["dump"], "FILE"),
    (["dump", "a", "b"], "FILE"),
    (["run"], "command"),
    (["run", "--interval", "12q", "--", "true"], "--interval 12q"),
    (["run", "--budget", "-1", "--", "true"], "--budget -1"),
    (["run", "--colour", "--", "true"], "--colour"),
    (["doctor", "--pid", "x"], "--pid x"),
    (["doctor", "somewhere"], "somewhere"),
])
def test_bad_usage_is_status_2_and_one_line_that_names_it(words, named):
    answer = heapecho(*words)
    assert answer.returncode == 2 and answer.stdout == ""
    assert named in one_line(answer)


@pytest.mark.parametrize("words", [["report"], ["export", "--format", "folded"], ["dump"]])
def test_a_file_that_is_not_there_is_status_2_and_named(words, tmp_path):
    missing = tmp_path / "missing.heapecho"
    answer = heapecho(*words, missing)
    assert answer.returncode == 2 and answer.stdout == ""
    assert str(missing) in one_line(answer)


def test_a_directory_without_recordings_is_nothing_to_show(tmp_path):
    answer = heapecho("report", tmp_path)
    assert answer.returncode == 1 and str(tmp_path) in one_line(answer)


def test_a_damaged_recording_alone_is_status_2_and_named(tmp_path):
    damaged = tmp_path / "damaged.heapecho"
    damaged.write_bytes(b"this is no recording" * 1000)
    for words in (["report"], ["export", "--format", "folded"], ["dump"]):
        answer = heapecho(*words, damaged)
        assert answer.returncode == 2 and str(damaged) in one_line(answer)
    picture = tmp_path / "picture.html"
    assert heapecho("flamegraph", damaged, "-o", picture).returncode == 2
    assert not picture.exists()


def test_a_damaged_recording_among_others_is_a_warning_that_names_it(tmp_path):
    make_recordings(tmp_path)
    damaged = tmp_path / "damaged.heapecho"
    damaged.write_bytes(b"this is no recording" * 1000)
    for words in (["report"], ["report", "--json"], ["export", "--format", "folded"]):
        answer = heapecho(*words, tmp_path)
        assert answer.returncode == 0 and answer.stdout != ""
        assert "warning" in answer.stderr and str(damaged) in answer.stderr
    assert str(damaged) in heapecho("report", tmp_path).stdout


def test_what_was_asked_for_and_is_not_there_is_nothing_to_show(recordings, tmp_path):
    picture = tmp_path / "picture.html"
    answer = heapecho("flamegraph", recordings, "--where", "pid=4294967294", "-o", picture)
    assert answer.returncode == 1 and not picture.exists()
    assert str(recordings) in one_line(answer)
    assert heapecho("export", recordings, "--where", "pid=4294967294", "--format", "folded").returncode == 1


def test_each_output_goes_where_it_is_told_and_is_the_same_each_time(recordings, tmp_path):
    for number in ("1", "2"):
        for name in ("page.html", "picture.svg"):
            answer = heapecho("flamegraph", recordings, "-o", tmp_path / (number + name))
            assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert (tmp_path / "1page.html").read_bytes() == (tmp_path / "2page.html").read_bytes()
    assert (tmp_path / "1picture.svg").read_bytes() == (tmp_path / "2picture.svg").read_bytes()
    folded = heapecho("export", recordings, "--format", "folded").stdout
    heapecho("export", recordings, "--format", "folded", "-o", tmp_path / "folded")
    assert folded and (tmp_path / "folded").read_text() == folded
    assert "site_main" in folded
    recording = next(recordings.glob("*.heapecho"))
    heapecho("dump", recording, "-o", tmp_path / "dump")
    assert "\nstack " in (tmp_path / "dump").read_text()
    assert (tmp_path / "dump").read_text() == heapecho("dump", recording).stdout


def test_options_may_stand_before_and_after_paths(recordings):
    before = heapecho("export", "--format", "folded", "--unit=objects", recordings)
    after = heapecho("export", recordings, "--unit", "objects", "--format=folded")
    assert before.returncode == 0 and before.stdout == after.stdout


def test_bytes_and_objects_are_told_apart(recordings):
    def total(*words):
        lines = heapecho("export", recordings, "--format", "folded", *words).stdout.splitlines()
        return sum(int(line.rsplit(" ", 1)[1]) for line in lines if "site_main" in line)
    # The program holds 40 blocks of 100,000 bytes, and sampling at each byte leaves no error.
    assert total("--unit", "bytes") == 40 * 100_000
    assert total("--unit", "objects") == 40
    assert total("--value", "allocated") == 60 * 100_000


def test_output_that_cannot_be_written_is_status_2_and_named(recordings, tmp_path):
    target = tmp_path / "missing" / "page.html"
    answer = heapecho("flamegraph", recordings, "-o", target)
    assert answer.returncode == 2 and str(target) in one_line(answer)
    with open("/dev/full", "w") as full:
        answer = heapecho("report", recordings, stdout=full)
    assert answer.returncode == 2 and "standard output" in one_line(answer)


def test_progress_is_not_shown_where_no_terminal_is(recordings):
    assert heapecho("report", recordings).stderr == ""
