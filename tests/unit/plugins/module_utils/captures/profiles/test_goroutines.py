# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Goroutines by /debug/pprof in addition to the dump that answers a signal, or instead of it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.issue_report import issue_text, stack_table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import StackOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.run import preview
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stack_dump import stack_collectors
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpAnswer
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State
from capturing import capture, everything
from fake_transport import JSON, FakeTransport, healthy, no_answer, raises
from profiling import profiling, workers

from patience import patience

PPROF = "stack:pprof"
GOROUTINES = "/debug/pprof/goroutine?debug=2"


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


def busy(target):
    return HttpAnswer(200, JSON, workers(8, 3)) if target.path == "/worker_stats" else profiling(target)


def off(target):
    return HttpAnswer(200, JSON, workers()) if target.path == "/worker_stats" else healthy(target)


@pytest.mark.parametrize("method", ["auto", "both"])
def test_goroutines_come_after_the_dump_with_states_and_waits(transport, tmp_path, method):
    transport.add("region", "r", answer=profiling)
    ran = capture(transport, tmp_path, method=method)
    assert ran.only().reason == "proven"
    row = ran.only(PPROF)
    assert (row.reason, row.path.rpartition("/")[2]) == ("profile_whole", "stack-pprof-1.txt")
    parsed = json.loads((tmp_path / row.details["parsed"]).read_text())
    assert max(group["wait_minutes_max"] for group in parsed["groups"]) == 5
    calls = [call for call, _name in transport.calls]
    assert calls.index("signal") < calls.index("http_get")
    assert [path for _name, path in transport.asked] == ["/worker_stats", GOROUTINES]


def test_method_signal_makes_no_request(transport, tmp_path):
    transport.add("region", "r", answer=profiling)
    ran = capture(transport, tmp_path, method="signal")
    assert (ran.rows(PPROF), transport.asked) == ([], [])


def test_method_pprof_sends_no_signal(transport, tmp_path):
    transport.add("region", "r", answer=profiling)
    transport.add("scheduler", "s", answer=profiling)
    transport.add("climc", "c")
    transport.add("keystone", "k", state=State.PENDING)
    ran = capture(transport, tmp_path, method="pprof", count=3)
    assert ran.report.signals == 0
    assert {row.instance: row.reason for row in ran.report.rows} == {
        "r": "profile_whole", "s": "not_registered", "c": "not_offered", "k": "pending",
    }  # fmt: skip
    assert not [call for call, _name in transport.calls if call in ("signal", "open_process", "open_log")]


WITHOUT = {
    "off": (off, {}, "profiling_off"),
    "busy": (busy, {}, "pool_saturated"),
    "hung": (profiling, {"http_get": no_answer}, "no_answer"),
    "forbidden": (profiling, {"http_get": raises(CaptureError(Reason.FORBIDDEN, "pods/proxy"))}, "forbidden"),
}


@pytest.mark.parametrize("why", WITHOUT)
def test_missing_goroutines_have_a_row_with_method_both_only(transport, tmp_path, why):
    answer, faults, reason = WITHOUT[why]
    transport.add("region", "r", answer=answer, faults=faults)
    ran = capture(transport, tmp_path / "auto", method="auto")
    assert (ran.only().reason, ran.rows(PPROF)) == ("proven", [])
    assert not list(tmp_path.rglob("stack-pprof*"))
    ran = capture(transport, tmp_path / "both", method="both")
    assert (ran.only().reason, ran.only(PPROF).reason) == ("proven", reason)


def test_tries_once_if_requests_are_forbidden(transport, tmp_path):
    for _replica in range(5):
        transport.add("region", answer=profiling, faults=WITHOUT["forbidden"][1])
    ran = capture(transport, tmp_path, method="auto")
    assert len(ran.rows(reason="proven")) == 5
    assert len(transport.asked) == 1


def test_asks_one_replica_of_each_component_whether_profiling_is_on(transport, tmp_path):
    for number in range(4):
        transport.add("region", f"off-{number}", answer=off)
        transport.add("keystone", f"on-{number}", answer=profiling)
    ran = capture(transport, tmp_path, method="auto")
    assert {row.instance for row in ran.rows(PPROF)} == {f"on-{number}" for number in range(4)}
    assert len({name for name, _path in transport.asked if name.startswith("off")}) == 1


def test_method_auto_skips_services_of_unknown_load(transport, tmp_path):
    transport.add("region", "r", answer=profiling, faults={"/worker_stats": no_answer})
    capture(transport, tmp_path / "auto", method="auto")
    assert [path for _name, path in transport.asked] == ["/worker_stats"]
    assert capture(transport, tmp_path / "both", method="both").only(PPROF).reason == "profile_whole"


def test_keeps_a_truncated_answer(transport, tmp_path):
    def cut(target):
        answer = profiling(target)
        if target.path != GOROUTINES:
            return answer
        return HttpAnswer(200, {}, answer.body[:-20], truncated_by="end")

    transport.add("region", "r", answer=cut)
    row = capture(transport, tmp_path, method="auto").only(PPROF)
    assert (row.status, row.reason) == ("partial", "body_cut")
    assert (tmp_path / row.path).stat().st_size == row.bytes > 0


def test_check_mode_lists_the_captures_of_each_method(transport):
    transport.add("region", "r", answer=profiling)
    selection = everything(transport)
    found = discover(transport, selection, Deadline(patience()))
    captures = {}
    for method in ("auto", "signal", "pprof", "both"):
        collectors = stack_collectors(transport, StackOptions(method=method))
        rows = preview(collectors, found, selection, transport.cluster, Deadline(patience()), 1.0)
        captures[method] = [row.capture for row in rows]
    assert captures == {"auto": ["stack"], "signal": ["stack"], "pprof": [PPROF], "both": ["stack", PPROF]}
    assert transport.asked == []


def test_issue_shows_the_longest_waits(transport, tmp_path):
    transport.add("region", "r", answer=profiling)
    ran = capture(transport, tmp_path, method="auto")

    def load(path):
        return json.loads((tmp_path / path).read_text())

    text = issue_text({}, ran.report.rows, load)
    assert "- 1 goroutine in main.main: chan receive, 5 minutes (r)" in text
    assert [line.split()[:3] for line in stack_table(ran.report.rows)[1:]] == [["region", "1", "1"]]


def test_goroutines_alone_are_in_table_and_issue(transport, tmp_path):
    transport.add("region", "r", answer=profiling)
    rows = capture(transport, tmp_path, method="pprof").report.rows
    assert "2 goroutines" in stack_table(rows)[1]
    assert "## region" in issue_text({}, rows, lambda path: json.loads((tmp_path / path).read_text()))
