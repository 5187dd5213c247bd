# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A watch of services in memory: what ends it, what it sets off, and that every instance is accounted for."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.instance_cache import InstanceCache
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from fake_transport import FakeFollow, FakeTransport, raises
from log_watching import LIMITS, Watch, lost, rows, said

from patience import patience, wait_until

# Instances are listed again at once.


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


def test_every_instance_has_its_row_and_files(transport, tmp_path):
    region, keystone = transport.add("region", log=lost()), transport.add("keystone")
    watch = Watch(transport, tmp_path)
    watch.until_followed(region, keystone)
    report = watch.end()
    assert rows(report) == {region.instance.name: "recorded", keystone.instance.name: "recorded"}
    assert [(each.name, each.verdict) for each in report.verdicts] == [("region", "dropping"), ("keystone", "unknown")]
    assert (report.verdict, report.ended, report.changed) == ("dropping", "duration", False)
    folder = tmp_path / "part" / "c1" / "region" / region.instance.name
    assert {path.name for path in folder.iterdir()} == {"log.json", "log-windows.txt", "counts.json", "picture.svg"}
    assert json.loads((folder / "log.json").read_text())["hits"] == 1
    assert watch.progress.counts()["hits"] == 1


def test_instance_that_was_not_followed_has_a_row(transport, tmp_path):
    names = [transport.add("region").instance.name for _number in range(2)]
    report = Watch(transport, tmp_path, duration=0).join()
    assert rows(report) == dict.fromkeys(names, "log_unavailable")
    assert {"ended before its turn" in row.message for row in report.rows if row.instance} == {True}


def test_stops_followers_before_the_instance_cache_closes(transport, tmp_path, monkeypatch):
    """A follower whose look at its container fails then knows why."""
    seen, close = [], InstanceCache.close

    def closed(cache: InstanceCache) -> None:
        seen.extend(each.follower._is_over for each in watch.watch._watched.values())
        close(cache)

    monkeypatch.setattr(InstanceCache, "close", closed)
    region = transport.add("region")
    watch = Watch(transport, tmp_path)
    watch.until_followed(region)
    watch.end()
    assert seen == [True]


@pytest.mark.parametrize(
    ("until", "text", "ends"),
    [
        ("verdict", "P: queue full, task dropped", True),
        ("first_hit", " Send error request process timeout", True),
        ("verdict", " Send error request process timeout", False),
        ("duration", "P: queue full, task dropped", False),
        ("first_hit", "nothing", False),
    ],
)
def test_ends_at_the_chosen_event(transport, tmp_path, until, text, ends):
    region = transport.add("region")
    watch = Watch(transport, tmp_path, until=until, duration=patience())
    region.write(said(text))
    if ends:
        assert watch.join().ended == until
    else:
        wait_until("the line", lambda: any(each.watcher.lines for each in watch.watch._watched.values()))
        assert watch.end().ended == "duration"


def test_ends_after_its_duration(transport, tmp_path):
    transport.add("region")
    assert Watch(transport, tmp_path, duration=0.2).join().ended == "duration"


def test_log_that_cannot_be_followed_has_a_row(transport, tmp_path):
    fault = {"follow_log": raises(CaptureError(Reason.HTTP_ONLY))}
    deaf, region = transport.add("keystone", faults=fault), transport.add("region")
    watch = Watch(transport, tmp_path)
    watch.until_followed(region)
    assert rows(watch.end()) == {deaf.instance.name: "http_only", region.instance.name: "recorded"}


def test_follows_no_log_once_the_watch_has_ended(transport, tmp_path, monkeypatch):
    """An instance appears just before the end, and the lister has its follower only after the others were stopped."""
    first = transport.add("region")
    watch = Watch(transport, tmp_path)
    watch.until_followed(first)
    asked, go_on = threading.Event(), threading.Event()
    follow_log = transport.follow_log

    def slow(*arguments):
        asked.set()
        assert go_on.wait(patience())
        return follow_log(*arguments)

    monkeypatch.setattr(transport, "follow_log", slow)
    transport.add("region")
    assert asked.wait(patience())
    watch.watch.stop()
    wait_until("its end", lambda: watch.watch._cache.closed)
    go_on.set()
    assert rows(watch.join()) == {first.instance.name: "recorded"}
    assert [each.instance.name for each in watch.watch._watched.values()] == [first.instance.name]


def test_sees_instances_that_appear_and_disappear(transport, tmp_path):
    first = transport.add("region")
    watch = Watch(transport, tmp_path)
    wait_until("the follower", lambda: transport.done_to(first.instance.name))
    late = transport.add("region")
    late.write(lost())
    first.end()
    wait_until("the follower", lambda: transport.done_to(late.instance.name))
    wait_until("the end of its log", lambda: any(each.outcome for each in watch.watch._watched.values()))
    report = watch.end()
    assert rows(report) == {first.instance.name: "recorded", late.instance.name: "recorded"}
    assert next(row for row in report.rows if row.instance == first.instance.name).message.endswith(
        "it went while it was watched."
    )


def test_log_that_was_not_read_to_the_end_is_not_healthy(transport, tmp_path, monkeypatch):
    region = transport.add("region")
    reached = property(lambda _self: threading.Event(), lambda _self, _event: None)
    monkeypatch.setattr(FakeFollow, "caught_up", reached, raising=False)
    watch = Watch(transport, tmp_path, limits=replace(LIMITS, look_back=0.1))
    watch.until_followed(region)
    report = watch.end()
    (row,) = [row for row in report.rows if row.capture == "log_watch"]
    assert (row.instance, row.reason, row.details["verdict"]) == (region.instance.name, "log_gap", "unknown")
    assert any("before the log was read" in text for text in row.details["evidence"])
