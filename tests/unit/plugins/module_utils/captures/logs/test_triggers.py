# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures that hits in logs start: what is captured, how often, and how it is recorded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import (
    TriggerOptions,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Event, Lines
from fake_transport import FakeFollow, FakeTransport
from log_watching import STACKS, Watch, lost, rows, said, signals

from patience import patience, wait_until


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


def test_hit_starts_a_capture_of_the_component(transport, tmp_path):
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


def test_captures_the_components_of_a_scenario_together(transport, tmp_path):
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


def test_captures_one_trouble_in_many_lines_once(transport, tmp_path):
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


def test_captures_a_later_replica_alone(transport, tmp_path):
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


def test_captures_again_after_the_cool_down(transport, tmp_path):
    region = transport.add("region")
    watch = Watch(transport, tmp_path, on_hit=TriggerOptions(("capture_stacks",), cooldown=0.0, timeout=patience()))
    for number in (1, 2):
        # As long as the capture before has not ended, nothing sets off another of the same instance.
        wait_until("the signal", lambda wanted=number: region.write(lost()) or signals(transport, region) >= wanted)
    assert len(watch.end().captures) >= 2


def test_old_hit_starts_nothing(transport, tmp_path):
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


def test_refused_signal_is_no_change(transport, tmp_path):
    region = transport.add("region", caught=0)
    watch = Watch(transport, tmp_path, on_hit=STACKS)
    region.write(lost())
    wait_until("the look at the process", lambda: "open_process" in transport.done_to(region.instance.name))
    report = watch.end()
    assert (rows(report, "stack"), report.changed) == ({region.instance.name: "usr1_not_caught"}, False)
