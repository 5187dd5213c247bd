# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flame graphs and speedscope files in a real browser."""

from __future__ import annotations

import base64
import json
import re

import jsonschema
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.report import ReportSettings, read_one
from pprofs import CPU, HEAP, packed

import browser as tools

HASH = "troubles.hashBlocks"
HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "a\u2028b",
    "main.(*T[...]).f",
    "'\"&amp;\\",
    "\u202eevil",
]


def report(tmp_path, data, base=None, **settings):
    reading = read_one("region", "", data, ReportSettings(**settings), base)
    for ending, content in reading.files.items():
        (tmp_path / f"cpu{ending}").write_bytes(content)
    return reading


def frame(page, words):
    return page.locator(".frame", has_text=words).first


def width(page, words):
    return frame(page, words).bounding_box()["width"]


def background(page, words):
    colour = frame(page, words).evaluate("one => getComputedStyle(one).backgroundColor")
    return [int(part) for part in re.findall(r"\d+", colour)]


@pytest.fixture
def graph(page, served, tmp_path):
    """Return the flame graph of a region that computes."""
    reading = report(tmp_path, served["cpu"].read_bytes())
    page.goto((tmp_path / "cpu.flame.html").as_uri())
    return reading


def test_frame_widths_match_their_shares(page, graph):
    row = next(row for row in graph.top.rows if row.function.endswith(HASH))
    assert page.title() == "region (cpu)"
    assert width(page, HASH) == pytest.approx(width(page, "all") * row.cum / graph.top.total, abs=2)
    frame(page, HASH).hover()
    share = f"({100 * row.cum / graph.top.total:.2f}%)"
    assert share in page.locator("#about").inner_text()


@pytest.mark.usefixtures("graph")
def test_click_zooms_in_and_escape_zooms_out(page):
    before = width(page, HASH)
    frame(page, HASH).click()
    assert width(page, HASH) == pytest.approx(width(page, "all"))
    assert width(page, HASH) > before
    assert page.locator(".frame.above").count() >= 2
    page.keyboard.press("Escape")  # zooms out to its caller
    assert before <= width(page, HASH) < width(page, "all")
    page.get_by_role("button", name="Reset zoom").click()
    assert width(page, HASH) == pytest.approx(before)


def test_search_highlights_and_counts_matches(page, graph):
    page.keyboard.press("/")
    page.keyboard.type("HASHBLOCKS")
    row = next(row for row in graph.top.rows if row.function.endswith(HASH))
    assert page.locator("#matched").inner_text() == f"matched {100 * row.cum / graph.top.total:.2f}%"
    hits = page.locator(".frame.hit")
    assert hits.count() >= 1
    assert all(HASH in label for label in hits.evaluate_all("all => all.map((one) => one.ariaLabel)"))
    page.locator("#search").fill("no such function")
    assert page.locator("#matched").inner_text() == "matched 0.00%"
    assert hits.count() == 0


@pytest.mark.usefixtures("graph")
def test_page_works_by_keyboard(page):
    page.locator(".frame").first.focus()
    page.keyboard.press("ArrowDown")
    first = page.evaluate("document.activeElement.ariaLabel")
    page.keyboard.press("ArrowDown")
    second = page.evaluate("document.activeElement.ariaLabel")
    assert first != second
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getBoundingClientRect().width") == pytest.approx(width(page, "all"))
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.ariaLabel") == first
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert page.locator(".frame.above").count() == 0


def test_selects_another_sample_type(page, graph):
    page.locator("#type").select_option(label="samples")
    total = graph.tops[0].total
    assert page.locator("#about").inner_text().startswith(f"all: {total} (100.00%)")


@pytest.mark.usefixtures("graph")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_light_and_dark_colours(page, scheme):
    page.emulate_media(color_scheme=scheme)
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 24, 28)"}[scheme]


def test_shows_hostile_names_as_text(page, tmp_path):
    report(tmp_path, packed(CPU, [((1, 1), (name, "main")) for name in HOSTILE]))
    page.goto((tmp_path / "cpu.flame.html").as_uri())
    page.on("dialog", lambda _dialog: pytest.fail("a name was run"))
    shown = " ".join(page.locator(".frame").all_text_contents())
    assert HOSTILE[0] in shown
    assert "a\\u2028b" in shown
    assert page.locator("img").count() == 0


def test_merges_small_frames_if_there_are_many(page, tmp_path):
    stacks = [((1, number), (f"leaf{number}", f"main{number % 7}")) for number in range(1, 400)]
    report(tmp_path, packed(CPU, stacks), frames=50)
    page.goto((tmp_path / "cpu.flame.html").as_uri())
    assert "The 50 largest of 406 frames are shown" in page.locator("#notes").inner_text()
    assert page.locator(".frame:not(.rest)").count() <= 51
    rest = page.locator(".frame.rest").first
    assert "smaller" in rest.get_attribute("aria-label")
    boxes = [one.bounding_box() for one in page.locator(".frame").all()]
    wide = sum(box["width"] for box in boxes if box["y"] == rest.bounding_box()["y"])
    assert wide == pytest.approx(width(page, "all"), rel=0.02)


def test_difference_is_red_and_blue(page, tmp_path):
    before = packed(CPU, [((1, 80), ("gone", "main")), ((1, 20), ("grown", "main")), ((1, 100), ("same", "main"))])
    now = packed(CPU, [((1, 100), ("grown", "main")), ((1, 100), ("same", "main"))])
    report(tmp_path, now, before)
    page.goto((tmp_path / "cpu.diff.flame.html").as_uri())
    red, _green, blue = background(page, "grown")
    assert red > 200 > blue
    red, _green, blue = background(page, "gone")
    assert blue > 200 > red
    assert len(set(background(page, "same"))) == 1
    assert width(page, "gone") == pytest.approx(width(page, "main") * 80 / 280, abs=2)
    assert "change +80" in frame(page, "grown").get_attribute("aria-label")
    assert "Red has grown" in page.locator(".help").inner_text()


@pytest.mark.parametrize("kind", ["cpu", "heap", "goroutine"])
def test_speedscope_loads_the_file(page, served, tmp_path, kind):
    reading = report(tmp_path, served[kind].read_bytes())
    content = reading.files[".speedscope.json"]
    release = tools.speedscope()
    jsonschema.validate(json.loads(content), json.loads((release / "file-format-schema.json").read_text()))
    loader = tmp_path / "loader.js"
    loader.write_text(f"speedscope.loadFileFromBase64('cpu.json', '{base64.b64encode(content).decode()}')")
    page.goto(f"{(release / 'index.html').as_uri()}#localProfilePath={loader}")
    page.get_by_text("Left Heavy").wait_for()
    name = reading.top.kind.type
    page.get_by_text(name, exact=False).first.wait_for()
    page.get_by_text("Sandwich").click()
    function = reading.top.rows[0].function
    page.get_by_text(function, exact=False).first.wait_for()


def test_speedscope_file_has_all_sample_types(tmp_path):
    reading = report(tmp_path, packed(HEAP, [((1, 2, 3, 4), ("main.a",))]))
    document = json.loads(reading.files[".speedscope.json"])
    assert [one["unit"] for one in document["profiles"]] == ["none", "bytes", "none", "bytes"]
