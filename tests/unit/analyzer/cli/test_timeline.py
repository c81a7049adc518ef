# SPDX-License-Identifier: Apache-2.0
"""timeline, --at, --value grown and last: of a program whose history is known."""

import csv
import io
import json

import pytest

from command import heapecho, make_recordings


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """40 blocks of 100,000 bytes are live at the end; every byte is sampled."""
    return make_recordings(tmp_path_factory.mktemp("recordings"))


def test_the_text_has_a_line_of_bars_for_each_quantity(recordings):
    answer = heapecho("timeline", recordings)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith("heapecho: 1 process, ")
    for row in ("  resident ", "  live ", "    malloc ", "    site_main (holds_blocks)"):
        assert row in answer.stdout


def test_the_last_point_is_the_end_of_the_process(recordings):
    answer = heapecho("timeline", recordings, "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(answer.stdout)))
    assert rows == sorted(rows, key=lambda row: row["time"])
    last = rows[-1]
    report = json.loads(heapecho("report", recordings, "--json").stdout)["recordings"][0]
    assert abs(float(last["live"]) - report["live"]["bytes"]) < 1
    assert last["id"] == report["id"]
    assert float(last["rss_anon"]) > 0 and float(last["rss_most"]) >= float(last["rss_anon"])
    site = next(name for name in last if name and "site_main" in name)
    assert float(last[site]) == 40 * 100_000


def test_the_page_is_written_where_it_is_told(recordings, tmp_path):
    page = tmp_path / "page.html"
    answer = heapecho("timeline", recordings, "--html", page)
    assert (answer.returncode, answer.stdout) == (0, "")
    assert page.read_text().startswith("<!doctype html>") and "site_main" in page.read_text()


def test_a_moment_is_shown_as_far_as_it_is_known(recordings):
    at_the_end = json.loads(heapecho("report", recordings, "--at", "0s", "--json").stdout)
    plain = json.loads(heapecho("report", recordings, "--json").stdout)
    assert at_the_end["recordings"][0]["live"] == plain["recordings"][0]["live"]
    assert "shown_at" in at_the_end["recordings"][0]
    before = heapecho("report", recordings, "--at", "1h")
    assert before.returncode == 0 and "was not there" in before.stdout
    peak = json.loads(heapecho("report", recordings, "--at", "peak", "--json").stdout)
    assert peak["sites"][0]["bytes"] >= 60 * 100_000 - 1


def test_what_grew_since_before_it_began_is_what_is_live(recordings):
    grown = json.loads(heapecho("report", recordings, "--value", "grown", "--since", "1h", "--json").stdout)
    site = next(s for s in grown["sites"] if any(f["function"] == "site_main" for f in s["frames"]))
    assert (site["bytes"], site["came_bytes"], site["went_bytes"]) == (4_000_000, 4_000_000, 0)
    assert site["growth_bytes_per_s"] > 0
    assert heapecho("report", recordings, "--value", "last").returncode == 0


@pytest.mark.parametrize("words, named", [
    (["timeline"], "PATH"),
    (["timeline", "x", "--csv", "a", "--html", "b"], "one of them"),
    (["timeline", "x", "--top", "few"], "--top few"),
    (["report", "x", "--at", "soon"], "--at soon"),
    (["report", "x", "--since", "soon", "--value", "grown"], "--since soon"),
    (["report", "x", "--since", "5m"], "since when"),
    (["report", "x", "--at", "5m", "--value", "allocated"], "earlier moment"),
    (["report", "x", "--at", "peak", "--value", "allocated"], "--at peak"),
    (["report", "x", "--value", "grown", "--by", "thread"], "by thread"),
])
def test_bad_usage_is_status_2_and_one_line_that_names_it(words, named):
    answer = heapecho(*words)
    assert answer.returncode == 2 and answer.stdout == ""
    assert named in answer.stderr and answer.stderr.count("\n") == 1
