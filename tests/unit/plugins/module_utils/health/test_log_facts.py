# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a problem in the log lasts, and its episode."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.log_facts import add_log_facts


def facts(episode, end="", answered_at="", **more):
    pattern = {"id": "db_connection", "count": 9, "first": "", "last": "", "pools": [], "samples": [], **more}
    log = {"last": end, "starts": [], "patterns": [{**pattern, "episode": episode}], "busy": []}
    add_log_facts(log, None, answered_at)
    return log["patterns"][0]


def at(last):
    return {"count": 2, "first": "2026-01-02T03:40:00", "last": last, "line": "bad connection"}


@pytest.mark.parametrize(
    ("last", "end", "answered_at", "over"),
    [
        # The log went on.
        ("2026-01-02T03:50:00", "2026-01-02T03:52:30", "", None),
        ("2026-01-02T03:50:00", "2026-01-02T03:52:31", "", 151),
        # It ended with the trouble: only an answer after it proves that it is over.
        ("2026-01-02T03:50:00", "2026-01-02T03:50:00", "", None),
        ("2026-01-02T03:50:00", "2026-01-02T03:50:00", "2026-01-02T03:58:00.000Z", 480),
        # A log of another time zone tells nothing of the answer's time.
        ("2026-01-02T03:50:00", "2026-01-02T03:50:00", "2026-01-02T11:50:00.000Z", None),
        ("2026-01-02T11:50:00", "2026-01-02T11:50:00", "2026-01-02T03:50:00.000Z", None),
        ("2026-01-02T11:40:00", "2026-01-02T11:50:00", "2026-01-02T03:50:00.000Z", 600),
        # Of an older release, nobody knows where the log ended.
        ("2026-01-02T03:50:00", "", "2026-01-02T03:58:00.000Z", 480),
        ("2026-01-02T03:50:00", "", "", None),
        ("", "2026-01-02T03:50:00", "", None),
        ("soon", "2026-01-02T03:50:00", "", None),
    ],
)
def test_tells_how_long_a_problem_has_been_over(last, end, answered_at, over):
    assert facts(at(last), end, answered_at)["episode"]["over_seconds"] == over


@pytest.mark.parametrize(
    ("first", "last", "when"),
    [
        ("2026-01-02T03:40:00", "2026-01-02T03:50:00", "from 2026-01-02T03:40:00 to 03:50:00"),
        ("2026-01-01T23:40:00", "2026-01-02T03:50:00", "from 2026-01-01T23:40:00 to 2026-01-02T03:50:00"),
        ("2026-01-02T03:50:00", "2026-01-02T03:50:00", "at 2026-01-02T03:50:00"),
        ("", "2026-01-02T03:50:00", "at 2026-01-02T03:50:00"),
        ("", "", ""),
    ],
)
def test_formats_the_time_of_an_episode(first, last, when):
    assert facts({"count": 1, "first": first, "last": last, "line": ""})["episode"]["when"] == when


def test_reads_a_document_without_episodes_as_one_episode():
    whole = facts(None, first="a", last="b", samples=["x", "y"], pools=[{"name": "P", "count": 9}])["episode"]
    assert (whole["count"], whole["first"], whole["last"], whole["line"]) == (9, "a", "b", "x")
    assert whole["pools"] == ["P"]


def test_leaves_out_pools_of_other_episodes():
    assert facts(at("2026-01-02T03:50:00"), pools=[{"name": "P", "count": 9}])["episode"]["pools"] == []
