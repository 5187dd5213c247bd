# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Own log patterns, and the expression that finds all texts."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.log_line import find
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from hypothesis import given
from hypothesis import strategies as st
from service_lines import access, line

OWN = {"id": "slow_query", "texts": ["slow query took "]}


def test_matches_own_and_shipped_patterns():
    own = {**OWN, "texts": ["slow query took ", "très long"], "severity": "critical", "meaning": "the database is slow"}
    watcher = LogWatcher(load_patterns([own]))
    hits = watcher.feed(
        line(1, " slow query took 3 s", "info") + line(2, " très long", "debug") + b"bare slow query took 4 s\n"
        + line(3, " etcd keepalive failed") + line(4, " slow query")
    )  # fmt: skip
    assert [hit.pattern_id for hit in hits] == ["slow_query"] * 3 + ["etcd_lease"]
    assert watcher.verdict().evidence[0].startswith("slow_query: bare slow query took 4 s (3 lines, from ")
    assert watcher.verdict().evidence[0].endswith("; the database is slow)")


def test_own_form_may_name_the_pool_and_read_the_request_log():
    own = [
        {"id": "mine", "texts": ["is at its end"], "form": r"pool (?P<pool>\w+) is at its end"},
        {"id": "slow", "texts": ["GET /servers"], "form": r"\S+ \d+ \S+ GET .*\) \d{2,}\."},
        {"id": "quoted", "texts": ["GET /servers"]},
    ]
    patterns = load_patterns(own)
    data = line(1, " pool A is at its end") + line(2, " the pool A is at its end") + access(3)
    told = [(hit.pattern.id, hit.groups) for hit in find(data, patterns, timestamped=True)]
    assert told == [("mine", {"pool": "A"}), ("slow", {})]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("text", "pattern 1: must be a mapping"),
        ({"texts": ["abc"]}, "pattern 1: id must be"),
        ({**OWN, "id": "Slow"}, "pattern 1: id must be"),
        ({**OWN, "id": "a" * 41}, "pattern 1: id must be"),
        ({**OWN, "id": "queue_full"}, "pattern 1: the id 'queue_full' is already taken"),
        ({"id": "x"}, r"pattern 1 \(x\): texts must be a list"),
        ({"id": "x", "texts": []}, r"pattern 1 \(x\): texts must be a list"),
        ({"id": "x", "texts": ["abc"] * 21}, r"pattern 1 \(x\): texts must be a list"),
        ({"id": "x", "texts": ["ab"]}, r"pattern 1 \(x\): each text must be one line"),
        ({"id": "x", "texts": ["a\nb"]}, r"pattern 1 \(x\): each text must be one line"),
        ({"id": "x", "texts": [7]}, r"pattern 1 \(x\): each text must be one line"),
        ({"id": "x", "texts": ["ab\ud800"]}, r"pattern 1 \(x\): a text is not Unicode"),
        ({**OWN, "severity": "bad"}, r"pattern 1 \(slow_query\): severity must be one of info, warning, critical"),
        ({**OWN, "form": "("}, r"pattern 1 \(slow_query\): form is not a regular expression: "),
        ({**OWN, "form": "x" * 1001}, r"pattern 1 \(slow_query\): meaning and form must be text"),
        ({**OWN, "meaning": 7}, r"pattern 1 \(slow_query\): meaning and form must be text"),
        ({**OWN, "colour": "red"}, r"pattern 1 \(slow_query\): has the unknown key colour; the keys are form"),
    ],
)  # fmt: skip
def test_reports_an_invalid_pattern(wrong, says):
    with pytest.raises(ValueError, match=says):
        load_patterns([wrong])


def test_reports_duplicate_ids_and_too_many_patterns():
    with pytest.raises(ValueError, match="pattern 2: the id 'slow_query' is already taken"):
        load_patterns([OWN, OWN])
    with pytest.raises(ValueError, match="there are 101 patterns"):
        load_patterns([{**OWN, "id": f"p{number}"} for number in range(101)])


@given(st.lists(st.text(st.sampled_from("ab [].?*\\é%k"), min_size=3, max_size=6), min_size=1, max_size=8), st.data())
def test_prefilter_finds_any_texts(texts, data):
    patterns = load_patterns([{"id": "own", "texts": texts}])
    text = data.draw(st.sampled_from(texts))
    around = data.draw(st.text(st.sampled_from("ab [].?*\\é%k\n"), max_size=10))
    raw = f"{around}{text}{around}".encode()
    places = [match.start() for match in patterns.prefilter.finditer(raw)]
    assert any(raw.rfind(b"\n", 0, place) == raw.rfind(b"\n", 0, len(around.encode())) for place in places)
