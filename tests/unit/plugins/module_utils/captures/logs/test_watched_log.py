# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict and the row of one watched log, with its signs of life."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import FollowLimits, LogWatchOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.log_watch import LogWatch
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Lines, Opened
from fake_transport import no_answer, raises
from scripted import FULL, Cloud

from patience import patience, wait_until

SHORT = 0.2


LIMITS = FollowLimits(listing=0.05, shortest_listing=0.01, ping=SHORT)


def refused(reason: Reason):
    return {"/ping": raises(CaptureError(reason))}


class Watched:
    """A watch of one service whose log was opened ten minutes ago."""

    def __init__(
        self, tmp_path, component: str = "region", ago: float = 390.0, limits: FollowLimits = LIMITS, **fields
    ) -> None:
        self.cloud = Cloud()
        self.name = self.cloud.add(component, **fields).instance.name
        self.folder = tmp_path / "c1" / component / self.name
        deadline, selection = Deadline(patience()), select("", [component])
        found = discover(self.cloud, selection, deadline)
        options = LogWatchOptions(duration=patience(), until="duration", limits=limits)
        self.watch = LogWatch(self.cloud, found, selection, Store(str(tmp_path)), options, deadline)
        self.reports: list = []
        self.thread = threading.Thread(target=lambda: self.reports.append(self.watch.run()))
        self.thread.start()
        self.script = wait_until("the follower", lambda: self.cloud.follows.get(self.name))
        self.script.written.put(Opened(time.time() - 600))
        self.script.say(" hello", ago=ago)
        wait_until("the line", lambda: any(each.watcher.lines for each in self.watch._watched.values()))
        self.script.caught_up.set()

    def end(self):
        self.watch.stop()
        self.thread.join(patience())
        (report,) = self.reports
        return report

    def judged(self) -> tuple[str, str, list[str]]:
        (row,) = [row for row in self.end().rows if row.capture == "log_watch"]
        log = json.loads((self.folder / "log.json").read_text())
        assert {key: row.details[key] for key in ("verdict", "rule", "evidence", "over")} == {
            key: log[key] for key in ("verdict", "rule", "evidence", "over")
        }
        return row.details["verdict"], row.details["rule"], row.details["evidence"]


def test_quiet_service_that_answers_is_healthy(tmp_path):
    verdict_, rule, evidence = Watched(tmp_path).judged()
    assert (verdict_, rule) == ("healthy", "quiet")
    assert "/ping was answered (HTTP 200); ready" in evidence[0]


@pytest.mark.parametrize(
    ("component", "fields", "rule"),
    [
        ("region", {"faults": {"/ping": no_answer}}, "ping_unanswered"),
        ("region", {"faults": {"/ping": no_answer}, "ready": False}, "ping_unanswered"),
        ("region", {"ready": False}, "not_ready"),
        # It may not be asked, or has nothing to ask: then its log alone has to show that it lives.
        ("region", {"faults": refused(Reason.FORBIDDEN)}, "no_sign_of_life"),
        ("host-deployer", {}, "no_sign_of_life"),
    ],
)
def test_frozen_service_is_not_healthy(tmp_path, component, fields, rule):
    verdict_, found, evidence = Watched(tmp_path, component, **fields).judged()
    assert (verdict_, found) == ("unknown", rule)
    if fields.get("ready", True) or "faults" in fields:
        assert evidence[0].startswith("silent for 6.5")
    assert ("not ready" in evidence[0]) == (not fields.get("ready", True))


def test_frozen_service_with_earlier_lines_is_not_healthy(tmp_path):
    """The line of a moment ago was written before it froze."""
    verdict_, rule, evidence = Watched(tmp_path, ago=5, faults={"/ping": no_answer}).judged()
    assert (verdict_, rule) == ("unknown", "ping_unanswered")
    assert evidence[0].startswith("/ping was not answered within")


def test_live_line_is_a_sign_of_life(tmp_path):
    watched = Watched(tmp_path, "host-deployer")
    watched.script.written.put(Lines(b"2026-11-23T00:00:00Z its clock is another one\n"))
    wait_until("the line", lambda: all(each.heard for each in watched.watch._watched.values()))
    assert watched.judged()[:2] == ("healthy", "quiet")


def test_takes_readiness_from_the_newest_list(tmp_path):
    watched = Watched(tmp_path)
    (service,) = watched.cloud.services
    service.instance = replace(service.instance, ready=False)
    wait_until("a list", lambda: any(not one.ready for one in watched.watch._cache.instances))
    assert watched.judged()[:2] == ("unknown", "not_ready")


@pytest.mark.parametrize(("recent", "rule"), [(patience(), "not_ready"), (0.0, "no_sign_of_life")])
def test_failed_last_list_leaves_readiness_known_for_a_while(tmp_path, recent, rule):
    """The end of a watch cuts the list that is then being made."""
    watched = Watched(tmp_path, limits=replace(LIMITS, recent=recent), ready=False)
    watched.cloud.problems = [("onecloud", verdict(Reason.UNREACHABLE))]
    watched.cloud.services.clear()
    wait_until("a list that fails", lambda: watched.watch._cache.problems)
    assert watched.judged()[:2] == ("unknown", rule)


def test_pings_only_where_the_answer_matters(tmp_path):
    watched = Watched(tmp_path)
    watched.script.say(FULL.format(pool="P"))
    wait_until("the line", lambda: any(each.watcher.hits for each in watched.watch._watched.values()))
    assert watched.judged()[:2] == ("dropping", "tasks_lost")
    assert watched.cloud.asked == []


def test_text_that_is_no_log_makes_it_unavailable(tmp_path):
    cloud = Cloud()
    name = cloud.add("region").instance.name
    deadline, selection = Deadline(patience()), select("", ["region"])
    store, found = Store(str(tmp_path)), discover(cloud, selection, deadline)
    watch = LogWatch(
        cloud,
        found,
        selection,
        store,
        LogWatchOptions(duration=60.0, limits=LIMITS),
        deadline,
    )
    reports: list = []
    thread = threading.Thread(target=lambda: reports.append(watch.run()))
    thread.start()
    script = wait_until("the follower", lambda: cloud.follows.get(name))
    script.written.put(Lines(b"failed to try resolving symlinks in path x\n"))
    wait_until("the text", lambda: any(each.watcher.foreign for each in watch._watched.values()))
    script.caught_up.set()
    watch.stop()
    thread.join(patience())
    (row,) = reports[0].rows
    assert (row.reason, row.details["verdict"], row.details["lines"]) == ("log_unavailable", "unknown", 0)
    assert "failed to try resolving symlinks" in row.message


def unreachable(tmp_path, problems, *components: str, retrying: float = SHORT):
    cloud = Cloud()
    cloud.problems = problems
    for component in components:
        cloud.add(component)
    deadline, selection = Deadline(3600.0), select("", ["region"])
    options = LogWatchOptions(duration=3000.0, limits=replace(LIMITS, retrying=retrying, reporting=0.01))
    watch = LogWatch(cloud, discover(cloud, selection, deadline), selection, Store(str(tmp_path)), options, deadline)
    return cloud, watch


def test_watch_ends_if_nothing_can_be_listed(tmp_path):
    problem = ("onecloud", verdict(Reason.UNREACHABLE, "connection refused"))
    _cloud, watch = unreachable(tmp_path, [problem])
    reports: list = []
    thread = threading.Thread(target=lambda: reports.append(watch.run()))
    thread.start()
    thread.join(patience())
    (report,) = reports
    assert (report.ended, report.verdict) == ("unreachable", "unknown")
    assert report.table == [f"No log was watched. onecloud: {problem[1].message}"]
    assert [row.reason for row in report.rows] == ["unreachable"]


def test_watches_instances_that_come_back_within_seconds(tmp_path):
    cloud, watch = unreachable(tmp_path, [("", verdict(Reason.UNREACHABLE))], retrying=patience())
    reports: list = []
    thread = threading.Thread(target=lambda: reports.append(watch.run()))
    thread.start()
    cloud.problems = []
    name = cloud.add("region").instance.name
    wait_until("the follower", lambda: cloud.follows.get(name)).caught_up.set()
    watch.stop()
    thread.join(patience())
    assert reports[0].ended == "duration"


def test_reports_that_nothing_is_deployed(tmp_path):
    _cloud, watch = unreachable(tmp_path, [])
    watch.stop()
    assert watch.run().table == ["No log was watched: there is no instance of region."]
