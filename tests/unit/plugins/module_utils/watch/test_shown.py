# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.picture import by_time, picture, sparkline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.report import verdict_table, windows_text
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.verdicts import (
    VERDICTS,
    Judgement,
    component_verdict,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import Watcher
from hypothesis import given
from hypothesis import strategies as st
from said import access, dropped, line

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</title><script>alert(1)</script>"&\x1b[2J\x00'


def parsed(text: str) -> ET.Element:
    """An SVG that we made ourselves."""
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


def instance(name: str, verdict: str, *evidence: str, over: bool = False) -> Judgement:
    return Judgement(verdict, "rule", evidence or (f"why {name}",), over, name)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_component_is_as_bad_as_its_worst_instance(verdict):
    worse = VERDICTS[: VERDICTS.index(verdict) + 1]
    found = component_verdict([instance(f"i{number}", each) for number, each in enumerate(worse)], "region")
    assert found.verdict == verdict
    assert found.evidence[0].endswith(f"of {len(worse)} instance{'s' * (len(worse) > 1)}")
    assert found.evidence[1] == f"i{len(worse) - 1}: why i{len(worse) - 1}"


def test_of_equally_bad_instances_one_that_goes_on_decides():
    parts = [instance("a", "stuck", over=True), instance("b", "stuck"), instance("c", "stuck", over=True)]
    assert not component_verdict(parts).over
    assert component_verdict([parts[0], parts[2]]).over


def test_a_component_without_instances_is_unknown():
    assert component_verdict([], "region").verdict == "unknown"


def test_the_table_names_what_is_not_healthy():
    region = component_verdict(
        [instance("r1", "healthy"), instance("r2", "stuck", "x" * 300), instance("r3", "busy", "y\x1b[2J", over=True)],
        "region",
    )
    glance = component_verdict([instance("g1", "healthy")], "glance")
    assert verdict_table([region, glance], {"r2": "▁█"}) == [
        "component  instances  verdict      trouble by minute  evidence",
        "region     3          stuck",
        f"  r2                  stuck        ▁█                 {'x' * 199}…",
        "  r3                  busy (over)                     y?[2J",
        "glance     1          healthy                         1 healthy of 1 instance",
    ]
    assert verdict_table([]) == []


def test_the_table_stays_short_for_a_fleet():
    found = component_verdict([instance(f"i{number}", "stuck") for number in range(500)], "host")
    lines = verdict_table([found])
    assert len(lines) == 13
    assert lines[-1].strip() == "and 490 more"


def test_the_kept_lines_make_a_text():
    watcher = Watcher(load_patterns())
    watcher.feed(access(1) + line(2, " etcd keepalive failed") + line(3, " token=hunter2"))
    text = windows_text(watcher.document())
    assert text.startswith("## etcd_lease (critical), 1 times, from 2026-11-23T00:00:02Z to 2026-11-23T00:00:02Z\n")
    assert [each[:2] for each in text.splitlines()[3:]] == ["  ", "> ", "  "]
    assert "hunter2" not in text


def test_minutes_without_lines_are_shown_as_empty():
    columns, width = by_time([minute(3, 5), minute(6, 7), {**minute(0), "minute": ""}])
    assert [column["lines"] for column in columns] == [5, 0, 0, 7]
    assert width == 1


def test_many_minutes_are_added_up():
    columns, width = by_time([minute(number, 2, critical=1) for number in range(600)], 240)
    assert (len(columns), width) == (200, 3)
    assert {(column["lines"], column["critical"]) for column in columns} == {(6, 3)}


def test_a_jump_over_years_is_not_drawn():
    columns, _width = by_time(
        [{**minute(0), "minute": "0001-01-01T00:00"}, minute(1), {**minute(0), "minute": "9999-12-31T23:59"}]
    )
    assert len(columns) == 3


def test_sparks_grow_with_the_trouble():
    assert sparkline([minute(0), minute(1, 9, info=5)]) == ""
    assert sparkline([minute(0, critical=1), minute(1), minute(2, warning=100)]) == "▂ █"


def test_the_picture_shows_hits_lines_and_gaps():
    gaps = [{"since": "2026-11-23T00:01:10Z", "until": "2026-11-23T00:01:50Z", "message": "lost"}]
    root = parsed(picture("region-1", [minute(0, 10, critical=2), minute(1), minute(2, 5)], gaps))
    titles = [each.text for each in root.iter(f"{SVG}title")]
    assert titles[0] == "region-1"
    assert "2026-11-23T00:00: 2 critical" in titles
    assert "2026-11-23T00:00: 10 lines" in titles
    assert titles.count("not seen: lost") == 2
    assert len(list(root.iter(f"{SVG}rect"))) == 2 + 1 + 3


def test_nothing_hostile_gets_into_a_picture():
    gaps = [{"since": "2026-11-23T00:00:00Z", "until": "", "message": HOSTILE}]
    text = picture(HOSTILE, [minute(0)], gaps)
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
def test_any_counts_make_a_picture(minutes):
    root = parsed(picture("x", minutes))
    for rect in root.iter(f"{SVG}rect"):
        assert 0 <= float(rect.get("height", "")) <= 60.05
    assert len(sparkline(minutes)) <= 20


def test_a_log_of_a_wrong_clock_makes_a_picture():
    watcher = Watcher(load_patterns())
    watcher.feed(b"".join(dropped(0).replace(b"2026", b"0%d" % year) for year in (950, 951)))
    minutes = [each["minute"] for each in watcher.document()["minutes"]]
    assert [minute[:4] for minute in minutes] == ["0950", "0951"]
    parsed(picture("x", watcher.document()["minutes"]))


def test_a_watched_log_makes_a_picture():
    watcher = Watcher(load_patterns())
    watcher.feed(b"".join(dropped(second) for second in range(0, 300, 7)))
    watcher.gap("skipped", "too much", 1795392060.0, 1795392120.0)
    document = watcher.document()
    parsed(picture("x", document["minutes"], document["gaps"]))
    assert len(sparkline(document["minutes"])) == 5
