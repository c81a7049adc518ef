# SPDX-License-Identifier: Apache-2.0
"""diff and check: of one recording against two of the same program, which therefore hold twice as much."""

import json

import pytest

from command import heapecho, make_recordings


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """One process that holds 40 blocks of 100,000 bytes, and two of them; every byte sampled, so without error."""
    before, after = tmp_path_factory.mktemp("before"), tmp_path_factory.mktemp("after")
    make_recordings(before)
    for name in ("a", "b"):
        one = after / name
        one.mkdir()
        make_recordings(one)
        for file in one.glob("*.heapecho"):
            file.rename(after / file.name)
        one.rmdir()
    return before, after


def test_what_grew_is_named_with_both_sides(sides):
    answer = heapecho("diff", *sides)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "Which functions allocate more or less" in answer.stdout
    assert "grown   +3.81 MiB ± 0 B  3.81 MiB ± 0 B -> 7.63 MiB ± 0 B" in answer.stdout
    assert "site_main (holds_blocks)" in answer.stdout


def test_equal_sides_have_nothing_that_changed(sides):
    answer = heapecho("diff", sides[0], sides[0])
    assert answer.returncode == 0 and "(0 functions of" in answer.stdout


def test_normalised_by_processes_or_requests_nothing_has_changed(sides):
    for words in (("--per", "process"), ("--requests", "1000,2000")):
        answer = heapecho("diff", *sides, *words, "--json")
        total = json.loads(answer.stdout)["total"]
        assert total["before"] == total["after"] and total["change"] == "same", words
    seconds = json.loads(heapecho("diff", *sides, "--per", "second", "--json").stdout)
    assert seconds["per"] == "seconds" and seconds["scale"] != 1


def test_its_outputs_agree_with_each_other(sides, tmp_path):
    folded = heapecho("diff", *sides, "--format", "folded", "-o", tmp_path / "folded")
    assert folded.returncode == 0
    line = next(line for line in (tmp_path / "folded").read_text().splitlines() if "site_main" in line)
    assert line.endswith(f" {40 * 100_000} {80 * 100_000}")
    answer = json.loads(heapecho("diff", *sides, "--json").stdout)
    assert answer["schema"] == 1
    site = next(f for f in answer["functions"] if f["frame"]["function"] == "site_main")
    assert (site["change"], site["before"]["objects"], site["after"]["objects"]) == ("grown", 40, 80)
    for name, begin in (("page.html", "<!doctype html>"), ("picture.svg", "<?xml")):
        drawn = heapecho("diff", *sides, "--html", tmp_path / name)
        assert (drawn.returncode, drawn.stdout) == (0, "")
        assert (tmp_path / name).read_text().startswith(begin)


@pytest.mark.parametrize("words, status", [
    (["--fail", "live+10%"], 1),
    (["--fail", "live+99%"], 1),
    (["--fail", "live+101%"], 0),
    (["--fail", "live+64MiB"], 0),
    (["--fail", "live+64MiB,peak+10%"], 1),
    (["--fail", "live+10%", "--per", "process"], 0),
    (["--fail", "live+10%", "--requests", "10,20"], 0),
])
def test_check_says_by_its_status_whether_the_bound_was_kept(sides, words, status):
    answer = heapecho("check", *sides, *words)
    assert (answer.returncode, answer.stderr) == (status, "")
    assert ("FAILED" in answer.stdout) == (status == 1)


def test_check_names_what_grew_where_it_fails_and_always_its_odds(sides):
    failed = heapecho("check", *sides, "--fail", "live+10%", "--odds", "1000").stdout
    assert "site_main" in failed and "fails in 1 of 1000 checks" in failed
    kept = heapecho("check", *sides, "--fail", "live+200%").stdout
    assert kept.startswith("kept") and "fails in 1 of 100 checks" in kept


def test_check_without_both_sides_is_status_2_since_1_would_be_an_answer(sides, tmp_path):
    for pair in ((sides[0], tmp_path), (tmp_path, sides[0]), (sides[0], tmp_path / "missing")):
        answer = heapecho("check", *pair, "--fail", "live+10%")
        assert answer.returncode == 2 and str(tmp_path) in answer.stderr
    nothing = heapecho("check", *sides, "--fail", "live+10%", "--where", "pid=4294967294")
    assert nothing.returncode == 2
