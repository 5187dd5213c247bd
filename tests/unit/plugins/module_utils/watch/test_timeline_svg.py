# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timeline of a watched log as SVG and as a sparkline."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.timeline_svg import (
    sparkline,
    time_columns,
    timeline_svg,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from hypothesis import given
from hypothesis import strategies as st
from service_lines import dropped

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</title><script>alert(1)</script>"&\x1b[2J\x00'


def parsed(text: str) -> ET.Element:
    """Parse an SVG of our own."""
    return ET.fromstring(text)  # noqa: S314


def minute(number: int, lines: int = 1, **counts: int) -> dict:
    hour, rest = divmod(number, 60)
    return {
        "minute": f"2026-11-23T{hour:02d}:{rest:02d}",
        "lines": lines,
        "info": 0,
        "warning": 0,
        "critical": 0,
        **counts,
    }


def test_fills_missing_minutes_with_zero():
    columns, width = time_columns([minute(3, 5), minute(6, 7), {**minute(0), "minute": ""}])
    assert [column["lines"] for column in columns] == [5, 0, 0, 7]
    assert width == 1


def test_sums_minutes_that_share_a_column():
    columns, width = time_columns([minute(number, 2, critical=1) for number in range(600)], 240)
    assert (len(columns), width) == (200, 3)
    assert {(column["lines"], column["critical"]) for column in columns} == {(6, 3)}


def test_skips_the_time_between_minutes_years_apart():
    columns, _width = time_columns(
        [{**minute(0), "minute": "0001-01-01T00:00"}, minute(1), {**minute(0), "minute": "9999-12-31T23:59"}]
    )
    assert len(columns) == 3


def test_sparkline_grows_with_warnings_and_criticals():
    assert sparkline([minute(0), minute(1, 9, info=5)]) == ""
    assert sparkline([minute(0, critical=1), minute(1), minute(2, warning=100)]) == "▂ █"


def test_svg_shows_hits_lines_and_gaps():
    gaps = [{"since": "2026-11-23T00:01:10Z", "until": "2026-11-23T00:01:50Z", "message": "lost"}]
    root = parsed(timeline_svg("region-1", [minute(0, 10, critical=2), minute(1), minute(2, 5)], gaps))
    titles = [each.text for each in root.iter(f"{SVG}title")]
    assert titles[0] == "region-1"
    assert "2026-11-23T00:00: 2 critical" in titles
    assert "2026-11-23T00:00: 10 lines" in titles
    assert titles.count("not seen: lost") == 2
    assert len(list(root.iter(f"{SVG}rect"))) == 2 + 1 + 3


def test_escapes_untrusted_text():
    gaps = [{"since": "2026-11-23T00:00:00Z", "until": "", "message": HOSTILE}]
    text = timeline_svg(HOSTILE, [minute(0)], gaps)
    assert "<script" not in text
    root = parsed(text)
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        "svg",
        "style",
        "title",
        "text",
        "line",
        "rect",
        "g",
    }
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


@given(
    st.lists(
        st.builds(minute, st.integers(0, 1439), st.integers(0, 10**9), critical=st.integers(0, 10**9)), max_size=30
    )
)
def test_any_counts_give_bars_within_the_chart(minutes):
    root = parsed(timeline_svg("x", minutes))
    for rect in root.iter(f"{SVG}rect"):
        assert 0 <= float(rect.get("height", "")) <= 60.05
    assert len(sparkline(minutes)) <= 20


def test_draws_minutes_of_years_before_1000():
    watcher = LogWatcher(load_patterns())
    watcher.feed(b"".join(dropped(0).replace(b"2026", b"0%d" % year) for year in (950, 951)))
    minutes = [each["minute"] for each in watcher.document()["minutes"]]
    assert [minute[:4] for minute in minutes] == ["0950", "0951"]
    parsed(timeline_svg("x", watcher.document()["minutes"]))


def test_draws_the_document_of_a_watcher():
    watcher = LogWatcher(load_patterns())
    watcher.feed(b"".join(dropped(second) for second in range(0, 300, 7)))
    watcher.gap("skipped", "too much", 1795392060.0, 1795392120.0)
    document = watcher.document()
    parsed(timeline_svg("x", document["minutes"], document["gaps"]))
    assert len(sparkline(document["minutes"])) == 5
