# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.log_patterns import LOG_PATTERNS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.log_line import find
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import LEVELS, load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from hypothesis import given
from hypothesis import strategies as st
from said import access, line

OWN = {"id": "slow_query", "texts": ["slow query took "]}


@pytest.mark.parametrize("pattern", LOG_PATTERNS, ids=lambda pattern: pattern.id)
def test_shipped_patterns_are_as_they_should_be(pattern):
    assert re.fullmatch("[a-z][a-z_]*", pattern.id)
    assert pattern.texts
    # A short text is only looked for where a line begins.
    assert all(len(text) >= (4 if pattern.unheaded or pattern.at_level else 10) for text in pattern.texts)
    assert pattern.level in LEVELS
    assert pattern.meaning


def test_own_patterns_are_found_besides_the_shipped_ones():
    own = {**OWN, "texts": ["slow query took ", "très long"], "severity": "critical", "meaning": "the database is slow"}
    watcher = LogWatcher(load_patterns([own]))
    hits = watcher.feed(
        line(1, " slow query took 3 s", "info") + line(2, " très long", "debug") + b"bare slow query took 4 s\n"
        + line(3, " etcd keepalive failed") + line(4, " slow query")
    )  # fmt: skip
    assert [hit.pattern_id for hit in hits] == ["slow_query"] * 3 + ["etcd_lease"]
    assert watcher.verdict().evidence[0].startswith("slow_query: bare slow query took 4 s (3 lines, from ")
    assert watcher.verdict().evidence[0].endswith("; the database is slow)")


def test_an_own_form_may_name_the_pool_and_read_access_lines():
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
def test_what_is_wrong_with_a_pattern_is_said(wrong, says):
    with pytest.raises(ValueError, match=says):
        load_patterns([wrong])


def test_the_second_of_two_with_one_id_is_named():
    with pytest.raises(ValueError, match="pattern 2: the id 'slow_query' is already taken"):
        load_patterns([OWN, OWN])
    with pytest.raises(ValueError, match="there are 101 patterns"):
        load_patterns([{**OWN, "id": f"p{number}"} for number in range(101)])


@given(st.lists(st.text(st.sampled_from("ab [].?*\\é%k"), min_size=3, max_size=6), min_size=1, max_size=8), st.data())
def test_any_texts_are_found_wherever_they_are(texts, data):
    patterns = load_patterns([{"id": "own", "texts": texts}])
    text = data.draw(st.sampled_from(texts))
    around = data.draw(st.text(st.sampled_from("ab [].?*\\é%k\n"), max_size=10))
    raw = f"{around}{text}{around}".encode()
    places = [match.start() for match in patterns.prefilter.finditer(raw)]
    assert any(raw.rfind(b"\n", 0, place) == raw.rfind(b"\n", 0, len(around.encode())) for place in places)
