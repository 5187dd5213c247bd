# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the data that a rule needs was collected."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.documents import instance_status
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rule_inputs import (
    GAP,
    NOT_ASKED,
    READY,
    availability,
    cluster_availability,
)
from audit_documents import cluster, instance, status

PING = {"answered": True}
DATABASE = {"name": "", "max_open_connections": 55, "in_use": 5}
WINDOW = {"seconds": 10, "reset": False, "workers": [], "databases": [], "paths": [], "requests": 0}
TWICE = {"samples": [{"db_stats": {"databases": []}, "ping": PING}] * 2, "window": WINDOW}
# What is there -> (needs, state, part of the reason).
NEEDS = [
    ({"samples": [{"ping": PING}]}, ["ping"], READY, ""),
    ({}, ["ping"], NOT_ASKED, ""),
    ({"expected": ["ping"]}, ["ping"], GAP, "ping was not read (running)"),
    ({"missing": [{"endpoint": "ping", "reason": "no_answer"}]}, ["ping"], GAP, "ping was not read (no_answer)"),
    ({"missing": [{"endpoint": "ping", "reason": "not_offered"}]}, ["ping"], NOT_ASKED, ""),
    ({"missing": [{"endpoint": "certificate", "reason": "no_certificate"}]}, ["certificate"], NOT_ASKED, ""),
    ({"missing": [{"endpoint": "log", "reason": "http_only"}]}, ["log"], NOT_ASKED, ""),
    ({"missing": [{"endpoint": "log", "reason": "forbidden"}]}, ["log"], GAP, "log was not read (forbidden)"),
    ({"expected": ["ping"], "of": instance(state="pending")}, ["ping"], GAP, "pending"),
    ({"expected": ["ping"], "of": instance(state="terminating")}, ["ping"], NOT_ASKED, ""),
    ({"expected": ["ping"], "of": instance(state="terminated")}, ["ping"], NOT_ASKED, ""),
    ({"samples": [{"ping": PING}], "expected": ["ping", "stats"]}, ["ping", "stats"], GAP, "stats was not read"),
    ({"samples": [{"ping": PING}]}, ["ping", "stats"], NOT_ASKED, ""),
    ({"expected": ["db_stats/click"]}, ["db_stats"], GAP, "db_stats was not read"),
    (
        {
            "samples": [{"db_stats": {"databases": [DATABASE]}}],
            "missing": [{"endpoint": "db_stats/click", "reason": "no_answer"}],
        },
        ["db_stats"],
        GAP,
        "db_stats/click was not read (no_answer)",
    ),
    (TWICE, ["db_stats", "window"], READY, ""),
    ({**TWICE, "window": {**WINDOW, "reset": True}}, ["db_stats", "window"], GAP, "it restarted"),
    ({**TWICE, "window": None}, ["db_stats", "window"], GAP, "not two samples"),
    ({**TWICE, "window": {**WINDOW, "requests": None}}, ["db_stats", "window"], READY, ""),
    # In the window, an empty list may also mean that it was read once only.
    (
        {"samples": [{}, {"db_stats": {"databases": []}}], "window": WINDOW},
        ["db_stats", "window"],
        GAP,
        "db_stats was not read in both samples",
    ),
    ({"samples": [{"db_stats": {"databases": []}}]}, ["db_stats", "window"], NOT_ASKED, ""),
    (
        {"samples": [{"ping": PING}], "missing": [{"endpoint": "ping", "sample": 2, "reason": "gone"}]},
        ["ping", "window"],
        GAP,
        "not two samples",
    ),
    ({"log": {"seconds": 1, "patterns": []}}, ["log"], READY, ""),
    ({"log": {"seconds": 1, "patterns": [], "truncated": True}}, ["log"], GAP, "only the newest part"),
    ({"certificate": {"not_after": "x", "days_left": 1}}, ["certificate"], READY, ""),
    ({}, [], READY, ""),
]


@pytest.mark.parametrize(("more", "needs", "state", "reason"), NEEDS)
def test_tells_whether_an_instance_has_what_a_rule_needs(more, needs, state, reason):
    found = availability(instance_status(status(**{"log": None, **more}), "p"), needs)
    assert found.state == state
    assert reason in found.reason


@pytest.mark.parametrize(
    ("known", "needs", "unusable", "reason"),
    [
        (cluster(), ["workloads", "discovery"], 0, ""),
        (None, ["workloads"], 0, "there is no cluster.json"),
        (None, ["ping"], 0, ""),
        (cluster(workloads_known=False), ["workloads"], 0, "could not be listed"),
        (cluster(workloads_known=False), ["discovery"], 0, ""),
        (cluster(problems=[{"place": "p", "reason": "forbidden", "message": ""}]), ["discovery"], 0, "(forbidden)"),
        (cluster(), ["discovery"], 2, "unusable documents: 2"),
    ],
)
def test_tells_whether_an_access_point_reported_what_a_rule_needs(known, needs, unusable, reason):
    found = cluster_availability(known, needs, unusable)
    assert (found.state, found.decisive) == ((GAP, True) if reason else (READY, False))
    assert reason in found.reason
