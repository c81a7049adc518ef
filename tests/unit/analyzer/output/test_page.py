# SPDX-License-Identifier: Apache-2.0
"""The flame graph's page as a person uses it: in a browser, with a mouse, keys and a finger."""

import os
import subprocess
from pathlib import Path

import pytest

import browser

BUILD = Path(os.environ.get("BUILD_DIR", Path(__file__).resolve().parents[4] / "build"))
DRAW = BUILD / "tests" / "unit" / "analyzer" / "output" / "draw_profile"

FRAME = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def chromium():
    executable = browser.find()
    if executable is None:
        pytest.skip("there is no Chromium on this machine to open the page in")
    with browser.Browser(executable) as running:
        yield running


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Returns the path of a hand-made profile (service, large, hostile, steps) in a format."""
    folder = tmp_path_factory.mktemp("pages")

    def draw(profile, kind="html"):
        path = folder / f"{profile}.{kind}"
        if not path.exists():
            path.write_bytes(subprocess.run([DRAW, profile, kind], check=True, capture_output=True).stdout)
        return path
    return draw


class Page:
    """The profile "steps": main (100 objects of 1 KiB) calls left (60 %) and right (40 %), left calls deep."""

    def __init__(self, chromium, path, **window):
        self.browser = chromium
        chromium.open(path, **window)
        self.settle()

    def settle(self):
        self.browser.evaluate(FRAME)

    def place(self, share, depth):
        """Where on the screen the box lies that is so far right and so deep."""
        x, y, width, scrolled, row = self.browser.evaluate(
            "(() => { const r = document.getElementById('graph').getBoundingClientRect();"
            " return [r.x, r.y, r.width, document.getElementById('view').scrollTop,"
            " matchMedia('(pointer: coarse)').matches ? 26 : 20]; })()")
        return x + share * width, y + (depth + 0.5) * row - scrolled

    def click(self, share, depth):
        self.browser.click(*self.place(share, depth))
        self.settle()

    def crumbs(self):
        return self.browser.text("#crumbs").replace("\n", "").split("›")


@pytest.fixture
def steps(chromium, drawn):
    return Page(chromium, drawn("steps"))


def test_the_head_says_what_is_shown(chromium, steps):
    assert chromium.text("h1") == "100 KiB ± 0 B live"
    assert "2 recordings" in chromium.text("#scope")


def test_a_comparison_shows_its_step_beside_both_sides(chromium, drawn):
    page = Page(chromium, drawn("changed"))
    assert chromium.text("h1") == "live: +2.25 MiB ± 724 KiB"
    assert "+2.25 MiB ± 724 KiB · 4.00 MiB ± 362 KiB before · 6.25 MiB ± 627 KiB after" in chromium.text("#details")
    page.click(0.2, 2)  # the widest box of the last row, 4 of 7.25 MiB
    assert page.crumbs() == ["all", "main", "grows"]
    assert "+3.00 MiB ± 512 KiB · 1.00 MiB ± 0 B before · 4.00 MiB ± 512 KiB after" in chromium.text("#details")


def test_a_comparison_is_red_where_it_grew_blue_where_it_is_gone_and_grey_where_it_is_not_sure(chromium, drawn):
    page = Page(chromium, drawn("changed"))

    def colour(share):
        x, y = page.place(share, 2)
        return chromium.evaluate(
            "(() => { const c = document.getElementById('graph'), r = c.getBoundingClientRect();"
            f" const at = [({x} - r.x) * devicePixelRatio, ({y} + 7 - r.y) * devicePixelRatio];"
            " return [...c.getContext('2d').getImageData(at[0], at[1], 1, 1).data].slice(0, 3); })()")
    red, grey, blue = colour(0.4), colour(0.7), colour(0.99)
    assert red[0] > red[2] + 40
    assert max(grey) - min(grey) < 20
    assert blue[2] > blue[0] + 40


def test_a_click_zooms_and_the_breadcrumb_and_the_button_lead_back(chromium, steps):
    assert steps.crumbs() == ["all"]
    steps.click(0.8, 2)
    assert steps.crumbs() == ["all", "main", "right"]
    assert chromium.text("#details .name") == "right"
    # The box fills the width now, so its left end is right() too.
    steps.click(0.05, 2)
    assert steps.crumbs() == ["all", "main", "right"]
    # A caller's row stays where it was and leads back to it.
    steps.click(0.5, 1)
    assert steps.crumbs() == ["all", "main"]
    chromium.evaluate("document.querySelector('#crumbs button').click()")
    assert steps.crumbs() == ["all"]
    steps.click(0.2, 2)
    assert steps.crumbs() == ["all", "main", "left"]
    chromium.evaluate("document.getElementById('reset').click()")
    assert steps.crumbs() == ["all"]
    assert chromium.evaluate("document.getElementById('reset').disabled")


def test_the_tooltip_says_all_there_is_to_say(chromium, steps):
    chromium.move(*steps.place(0.2, 2))
    tip = chromium.text("#tip")
    assert tip.split("\n") == ["left", "libleft.so · src/left.cc:12",
                               "60.0 KiB ± 0 B · 60.0 % of all · 60 objects · itself 10.0 KiB"]
    chromium.move(2, 2)
    steps.settle()
    assert chromium.evaluate("document.getElementById('tip').hidden")


def test_the_search_shows_the_share_of_what_matches_and_counts_nested_matches_once(chromium, steps):
    chromium.evaluate("document.getElementById('search').focus()")
    chromium.type("left")  # left() and deep(), which lies in libleft.so below it
    assert chromium.text("#matched") == "60.0 % · 60.0 KiB"


@pytest.mark.parametrize("text, matched", [
    ("RIGHT", "40.0 % · 40.0 KiB"),      # case does not matter
    ("^de+p$", "50.0 % · 50.0 KiB"),     # a regular expression
    ("left.cc", "60.0 % · 60.0 KiB"),    # the source file
    ("operator()(", "no match"),         # no regular expression: text
    ("nowhere", "no match"),
    ("", ""),
])
def test_the_search_takes_text_and_regular_expressions(chromium, steps, text, matched):
    chromium.evaluate("document.getElementById('search').focus()")
    chromium.type("x")
    chromium.evaluate("document.getElementById('search').select()")
    chromium.type(text) if text else chromium.key("Escape")
    assert chromium.text("#matched") == matched
    assert chromium.errors == []


def test_what_matches_is_drawn_in_another_colour(chromium, steps):
    pixel = ("(() => { const c = document.getElementById('graph'); const [x, y] = [0.8 * c.width, 2.2 * 20];"
             " return [...c.getContext('2d').getImageData(x, y, 1, 1).data]; })()")
    before = chromium.evaluate(pixel)
    chromium.evaluate("document.getElementById('search').focus()")
    chromium.type("right")
    steps.settle()
    matched = chromium.evaluate(pixel)
    assert matched != before
    chromium.key("Escape")
    steps.settle()
    assert chromium.evaluate(pixel) == before


def test_enter_in_the_search_goes_from_match_to_match(chromium, steps):
    chromium.key("/")
    chromium.type("left|right")
    chromium.key("Enter")
    assert steps.crumbs() == ["all", "main", "left"]
    chromium.key("Enter")
    assert steps.crumbs() == ["all", "main", "right"]
    chromium.key("Enter")
    assert steps.crumbs() == ["all", "main", "left"]


def test_keys_alone_reach_every_box(chromium, steps):
    chromium.evaluate("document.getElementById('graph').focus()")
    name = lambda: chromium.text("#details .name")
    for key, expected in [("ArrowDown", "main"), ("ArrowDown", "left"), ("ArrowRight", "right"),
                          ("ArrowLeft", "left"), ("ArrowDown", "deep"), ("ArrowUp", "left")]:
        chromium.key(key)
        assert name() == expected
    chromium.key("Enter")
    assert steps.crumbs() == ["all", "main", "left"]
    chromium.key("Escape")
    assert steps.crumbs() == ["all", "main"]
    chromium.key("Home")
    assert steps.crumbs() == ["all"]


def test_flames_grow_upwards_when_asked(chromium, steps):
    chromium.key("f")
    steps.settle()
    assert chromium.evaluate("document.getElementById('flip').getAttribute('aria-pressed')") == "true"
    x, y, width, height = chromium.evaluate(
        "(() => { const r = document.getElementById('graph').getBoundingClientRect();"
        " return [r.x, r.y, r.width, r.height]; })()")
    chromium.click(x + 0.8 * width, y + height - 2.5 * 20)
    assert steps.crumbs() == ["all", "main", "right"]


def test_a_finger_zooms_on_a_phone_and_nothing_is_wider_than_its_screen(chromium, drawn):
    page = Page(chromium, drawn("steps"), width=390, height=780, scale=2, touch=True)
    chromium.tap(*page.place(0.8, 2))
    page.settle()
    assert page.crumbs() == ["all", "main", "right"]
    assert chromium.evaluate("document.documentElement.scrollWidth") <= 390
    assert chromium.evaluate("document.getElementById('view').clientHeight") > 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_page_in_both_colour_schemes(chromium, drawn, scheme):
    Page(chromium, drawn("steps"), scheme=scheme)
    text, page = chromium.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        ".map((c) => c.match(/\\d+/g).map(Number).reduce((a, b) => a + b) / 3)")
    assert (text > 200 and page < 60) if scheme == "dark" else (text < 60 and page > 200)


def test_every_box_of_a_deep_profile_can_be_scrolled_to(chromium, drawn):
    page = Page(chromium, drawn("service"), height=500)
    bottom = chromium.evaluate("(() => { const v = document.getElementById('view');"
                               " v.scrollTop = v.scrollHeight; return v.scrollTop; })()")
    assert bottom > 0
    chromium.evaluate("document.getElementById('view').scrollTop = 0")
    page.settle()
    page.click(0.5, 0)
    assert page.crumbs() == ["all"]


def test_twenty_thousand_stacks_open_and_zoom(chromium, drawn):
    page = Page(chromium, drawn("large"))
    assert chromium.errors == []
    page.click(0.1, 8)
    assert len(page.crumbs()) == 9


def test_a_hostile_name_runs_nothing_and_is_shown_as_it_is(chromium, drawn):
    page = Page(chromium, drawn("hostile"))
    assert chromium.errors == []
    assert chromium.evaluate("typeof hacked") == "undefined"
    page.click(0.5, 1)
    assert "<script>hacked=1</script>" in chromium.text("#details .name")
    chromium.move(*page.place(0.5, 1))
    page.settle()
    assert "<script>hacked=1</script>" in chromium.text("#tip .name")
    chromium.evaluate("document.getElementById('about').open = true")
    assert "<script>hacked=1</script>" in chromium.text("#about")
    assert chromium.evaluate("typeof hacked") == "undefined"
    assert chromium.evaluate("document.scripts.length") == 2


def test_the_page_forbids_any_script_but_its_own(chromium, steps):
    chromium.evaluate("(() => { const s = document.createElement('script'); s.textContent = 'hacked = 1';"
                      " document.body.append(s); })()")
    assert chromium.evaluate("typeof hacked") == "undefined"


@pytest.mark.parametrize("profile", ["service", "hostile", "steps"])
def test_the_svg_is_well_formed_and_names_its_boxes(chromium, drawn, profile):
    chromium.open(drawn(profile, "svg"))
    assert chromium.errors == []
    assert chromium.evaluate("document.documentElement.nodeName") == "svg"
    titles = chromium.evaluate("[...document.querySelectorAll('g > title')].map((t) => t.textContent)")
    assert titles[0].startswith("all\n")
    assert len(titles) == chromium.evaluate("document.querySelectorAll('rect').length")
    assert chromium.evaluate("typeof hacked") == "undefined"
