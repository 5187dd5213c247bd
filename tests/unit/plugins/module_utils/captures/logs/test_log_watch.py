# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A watch of services in memory: what ends it, what it sets off, and that every instance is accounted for."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import (
    FollowLimits,
    LogWatchOptions,
    TriggerOptions,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.instance_cache import InstanceCache
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.log_watch import (
    LogWatch,
    LogWatchReport,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import Progress
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Event, Lines
from fake_transport import FakeFollow, FakeTransport, Service, raises

from patience import patience, wait_until

# Instances are listed again at once.
LIMITS = FollowLimits(listing=0.05, shortest_listing=0.01)
STACKS = TriggerOptions(("capture_stacks",), timeout=patience())


def said(message: str, ago: float = 0.0) -> bytes:
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=ago)
    return f"[error {moment:%Y-%m-%d %H:%M:%S} appsrv.(*W).Run(workers.go:266)]{message}\n".encode()


def lost(pool: str = "P", ago: float = 0.0) -> bytes:
    return said(f"{pool}: queue full, task dropped", ago)


class Watch:
    """A watch on a thread."""

    def __init__(self, transport: FakeTransport, folder: Path, scenario: str = "", **options) -> None:
        options = {"since": 0, "duration": 10.0, "until": "duration", "limits": LIMITS, **options}
        named = {"scenario": scenario} if scenario else {"components": ["region", "keystone"]}
        selection, deadline = select(**named), Deadline(patience())
        self.store = Store(str(folder / "part"))
        self.progress = Progress()
        found = discover(transport, selection, deadline)
        self.watch = LogWatch(
            transport, found, selection, self.store, LogWatchOptions(**options), deadline, self.progress
        )
        self.report = LogWatchReport()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.report = self.watch.run()

    def until_followed(self, *services: Service) -> None:
        """Wait until the logs of these are open."""
        names = {service.instance.name for service in services}

        def followed() -> bool:
            watched = list(self.watch._watched.values())
            return names <= {each.instance.name for each in watched if each.opened}

        wait_until("the followers", followed)

    def join(self) -> LogWatchReport:
        """Its report, when it ends by itself."""
        self._thread.join(patience())
        assert not self._thread.is_alive()
        return self.report

    def end(self) -> LogWatchReport:
        self.watch.stop()
        return self.join()


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


def rows(report: LogWatchReport, capture: str = "log_watch") -> dict[str, str]:
    return {row.instance: row.reason for row in report.rows if row.capture == capture}


def signals(transport: FakeTransport, service) -> int:
    return transport.done_to(service.instance.name).count("signal")


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


def test_an_instance_whose_turn_does_not_come_has_a_row(transport, tmp_path):
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
def test_what_ends_a_watch(transport, tmp_path, until, text, ends):
    region = transport.add("region")
    watch = Watch(transport, tmp_path, until=until, duration=patience())
    region.write(said(text))
    if ends:
        assert watch.join().ended == until
    else:
        wait_until("the line", lambda: any(each.watcher.lines for each in watch.watch._watched.values()))
        assert watch.end().ended == "duration"


def test_a_watch_ends_after_its_duration(transport, tmp_path):
    transport.add("region")
    assert Watch(transport, tmp_path, duration=0.2).join().ended == "duration"


def test_a_hit_sets_off_the_capture_of_the_component_at_once(transport, tmp_path):
    region, other, keystone = transport.add("region"), transport.add("region"), transport.add("keystone")
    watch = Watch(transport, tmp_path, on_hit=STACKS)
    wait_until("the follower", lambda: transport.done_to(region.instance.name))
    region.write(lost())
    wait_until("the signal", lambda: "signal" in transport.done_to(other.instance.name))
    wait_until("the signal", lambda: "signal" in transport.done_to(region.instance.name))
    report = watch.end()
    assert rows(report, "stack") == {region.instance.name: "proven", other.instance.name: "proven"}
    assert "signal" not in transport.done_to(keystone.instance.name)
    (capture,) = report.captures
    assert (capture["instance"], capture["pool"], capture["signals"]) == (region.instance.name, "P", 2)
    assert (report.changed, capture["error"]) == (True, "")
    assert capture["delay"] >= 0
    assert len(report.rows) == 3 + 2 + 2  # logs, stacks, versions: each once, in its final form
    # The dumps went through the watched logs, and are no hits.
    assert sum(row.details["hits"] for row in report.rows if row.capture == "log_watch") == 1


def test_what_a_scenario_suspects_is_captured_together(transport, tmp_path):
    region, keystone = transport.add("region"), transport.add("keystone")
    transport.add("glance")
    watch = Watch(transport, tmp_path, scenario="slow_system", on_hit=STACKS)
    wait_until("the follower", lambda: transport.done_to(region.instance.name))
    keystone.write(lost())
    wait_until("the signal", lambda: "signal" in transport.done_to(region.instance.name))
    report = watch.end()
    assert rows(report, "stack") == {keystone.instance.name: "proven", region.instance.name: "proven"}
    (capture,) = report.captures
    assert (capture["instance"], capture["signals"]) == (keystone.instance.name, 2)


def test_one_trouble_in_many_lines_is_captured_once(transport, tmp_path):
    """Lines with and without a pool's name, of another pool, and of the other replica."""
    region, other, keystone = transport.add("region"), transport.add("region"), transport.add("keystone")
    watch = Watch(transport, tmp_path, on_hit=STACKS)
    watch.until_followed(region, other, keystone)
    region.write(lost("A") * 50 + said(" Send error Request queue is full") + lost("B"))
    other.write(lost("A"))
    wait_until("the signal", lambda: signals(transport, region) and signals(transport, other))
    # The other component is another trouble: what it sets off shows that the lines before it have been looked at.
    wait_until("the hits", lambda: sum(each.watcher.hits for each in watch.watch._watched.values()) == 53)
    keystone.write(lost("A"))
    wait_until("the signal", lambda: signals(transport, keystone))
    report = watch.end()
    assert [capture["pool"] for capture in report.captures] == ["A", "A"]
    assert [signals(transport, each) for each in (region, other, keystone)] == [1, 1, 1]
    stacks = [row for row in report.rows if row.capture == "stack"]
    assert len({row.path for row in stacks}) == 3
    assert all((tmp_path / "part" / row.path).exists() for row in stacks)


def test_a_replica_that_came_after_the_capture_is_captured_alone(transport, tmp_path):
    region = transport.add("region")
    watch = Watch(transport, tmp_path, on_hit=STACKS)
    watch.until_followed(region)
    region.write(lost())
    wait_until("the capture", lambda: signals(transport, region))
    late = transport.add("region")
    watch.until_followed(late)
    late.write(lost())
    wait_until("the capture", lambda: signals(transport, late))
    watch.end()
    assert [signals(transport, each) for each in (region, late)] == [1, 1]


def test_after_the_cool_down_it_is_captured_again(transport, tmp_path):
    region = transport.add("region")
    watch = Watch(transport, tmp_path, on_hit=TriggerOptions(("capture_stacks",), cooldown=0.0, timeout=patience()))
    for number in (1, 2):
        # As long as the capture before has not ended, nothing sets off another of the same instance.
        wait_until("the signal", lambda wanted=number: region.write(lost()) or signals(transport, region) >= wanted)
    assert len(watch.end().captures) >= 2


def test_history_sets_nothing_off(transport, tmp_path):
    region = transport.add("region", log=lost(ago=120.0))
    watch = Watch(transport, tmp_path, on_hit=STACKS)
    watch.until_followed(region)
    wait_until("the hit", lambda: any(each.watcher.hits for each in watch.watch._watched.values()))
    report = watch.end()
    assert (report.verdict, report.captures) == ("dropping", [])
    assert "signal" not in transport.done_to(region.instance.name)


def busy_for(cycles: int, ago: float = 0.0) -> bytes:
    return said(f"WorkerManager P has been busy for {cycles} cycles...", ago)


@pytest.fixture
def line_by_line(monkeypatch) -> None:
    """Each line of a log comes alone."""
    events = FakeFollow.events

    def split(follow: FakeFollow) -> Iterator[Event]:
        for event in events(follow):
            yield from map(Lines, event.data.splitlines(True)) if isinstance(event, Lines) else [event]

    monkeypatch.setattr(FakeFollow, "events", split)


@pytest.mark.usefixtures("line_by_line")
def test_captures_a_trouble_that_history_tells_of_and_that_goes_on(transport, tmp_path):
    """Old lines already give the verdict, which ends the watch. The new lines are judged as well."""
    region = transport.add("region", log=busy_for(121, ago=90.0) + busy_for(122, ago=60.1) + busy_for(123))
    report = Watch(transport, tmp_path, until="verdict", on_hit=STACKS).join()
    assert (report.verdict, report.ended) == ("stuck", "verdict")
    assert [capture["instance"] for capture in report.captures] == [region.instance.name]
    assert signals(transport, region) == 1


@pytest.mark.usefixtures("line_by_line")
def test_captures_a_trouble_whose_last_line_comes_right_after_another(transport, tmp_path):
    """A log is judged at most once a second. The capture does not wait for a further line."""
    region = transport.add("region")
    watch = Watch(transport, tmp_path, duration=patience(), on_hit=STACKS)
    watch.until_followed(region)
    region.write(busy_for(2) + busy_for(120))
    wait_until("the signal", lambda: signals(transport, region))
    assert [capture["pool"] for capture in watch.end().captures] == ["P"]


def test_a_refused_signal_changes_nothing(transport, tmp_path):
    region = transport.add("region", caught=0)
    watch = Watch(transport, tmp_path, on_hit=STACKS)
    region.write(lost())
    wait_until("the look at the process", lambda: "open_process" in transport.done_to(region.instance.name))
    report = watch.end()
    assert (rows(report, "stack"), report.changed) == ({region.instance.name: "usr1_not_caught"}, False)


def test_a_log_that_cannot_be_followed_has_a_row_and_stops_nobody(transport, tmp_path):
    fault = {"follow_log": raises(CaptureError(Reason.HTTP_ONLY))}
    deaf, region = transport.add("keystone", faults=fault), transport.add("region")
    watch = Watch(transport, tmp_path)
    watch.until_followed(region)
    assert rows(watch.end()) == {deaf.instance.name: "http_only", region.instance.name: "recorded"}


def test_nobody_is_followed_once_the_watch_has_ended(transport, tmp_path, monkeypatch):
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


def test_what_goes_and_what_comes_is_seen(transport, tmp_path):
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


def test_what_was_not_read_to_the_end_is_not_called_healthy(transport, tmp_path, monkeypatch):
    region = transport.add("region")
    reached = property(lambda _self: threading.Event(), lambda _self, _event: None)
    monkeypatch.setattr(FakeFollow, "caught_up", reached, raising=False)
    watch = Watch(transport, tmp_path, limits=replace(LIMITS, look_back=0.1))
    watch.until_followed(region)
    report = watch.end()
    (row,) = [row for row in report.rows if row.capture == "log_watch"]
    assert (row.instance, row.reason, row.details["verdict"]) == (region.instance.name, "log_gap", "unknown")
    assert any("before the log was read" in text for text in row.details["evidence"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"duration": -1}, "duration is -1. It has to be"),
        ({"since": -1}, "since is -1. It has to be"),
        ({"until": "x"}, "until has to be one of"),
        ({"patterns": [{"id": "X"}]}, "pattern 1"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        LogWatchOptions(**options)


@pytest.mark.parametrize(
    ("options", "words"), [({"actions": ("x",)}, "does not know x"), ({"cooldown": -1}, "cooldown")]
)
def test_wrong_options_on_hit_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        TriggerOptions(**options)
