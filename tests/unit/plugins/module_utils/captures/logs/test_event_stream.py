# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching without an end: which hits are told, how often, what is not seen, and that it ends when it is told to."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import (
    EventStreamOptions,
    FollowLimits,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.event_stream import EventStream
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import (
    Ended,
    Gap,
    Lines,
    WriterChanged,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from scripted import BUSY, FULL, WAITS, Cloud, Script

from patience import patience, wait_until

LIMITS = FollowLimits(listing=0.05, shortest_listing=0.01)


class Watching:
    """An EventStream on a thread, and what it told."""

    def __init__(self, cloud: Cloud, limits: FollowLimits = LIMITS, **options) -> None:
        self.cloud = cloud
        self.told: queue.Queue = queue.Queue()
        self.deadline = Deadline(3600.0)
        self.before = set(threading.enumerate())
        wanted = EventStreamOptions(**options)
        watch = EventStream(
            cloud, select("", ["region"]), load_patterns(), wanted, self.deadline, self.told.put, limits
        )
        self.thread = threading.Thread(target=watch.run)
        self.thread.start()

    def next(self) -> dict:
        return self.told.get(timeout=patience())

    def script(self, name: str) -> Script:
        return wait_until(f"a follower of {name}", lambda: self.cloud.follows.get(name))

    def end(self) -> list[dict]:
        """Tell it to end; what it told and nobody took."""
        self.deadline.cancel()
        self.thread.join(patience())
        assert not self.thread.is_alive()
        left = []
        while not self.told.empty():
            left.append(self.told.get())
        return left


@pytest.fixture
def cloud():
    return Cloud()


@pytest.fixture
def watching(cloud):
    made = []

    def make(**options):
        made.append(Watching(cloud, **options))
        return made[-1]

    yield make
    for each in made:
        each.end()


def test_event_tells_instance_pattern_and_verdict(cloud, watching):
    cloud.add("region", "region-1", node="n7")
    watch = watching()
    watch.script("region-1").say("all is well", FULL.format(pool="CronJobWorkers"))
    event = watch.next()
    assert event.pop("moment").startswith("20")
    assert event == {
        "kind": "hit",
        "cluster": "c1",
        "namespace": "onecloud",
        "component": "region",
        "instance": "region-1",
        "node": "n7",
        "pattern": "queue_full",
        "severity": "critical",
        "pool": "CronJobWorkers",
        "verdict": "dropping",
        "text": "CronJobWorkers: queue full, task dropped",
        "unsaid": 0,
    }


def test_reports_each_pool_once_in_its_cool_down(cloud, watching):
    cloud.add("region", "region-1")
    cloud.add("region", "region-2")
    watch = watching(cooldown=3600)
    for name in ("region-1", "region-2"):
        watch.script(name).say(*[FULL.format(pool="A")] * 50, *[FULL.format(pool="B")] * 50)
    told = [watch.next() for _time in range(4)]
    assert {(one["instance"], one["pool"]) for one in told} == {
        (name, pool) for name in ("region-1", "region-2") for pool in "AB"
    }
    assert watch.end() == []


def test_reports_a_worse_verdict_within_the_cool_down(cloud, watching):
    cloud.add("region", "region-1")
    watch = watching(cooldown=3600)
    script = watch.script("region-1")
    script.say(WAITS.format(pool="A"))
    assert watch.next()["verdict"] == "busy"
    # In the same moment, which must not hide it.
    script.say(WAITS.format(pool="A"), FULL.format(pool="A"), FULL.format(pool="A"))
    worse = watch.next()
    assert (worse["verdict"], worse["pattern"], worse["unsaid"]) == ("dropping", "queue_full", 1)
    assert watch.end() == []


def test_ignores_hits_below_the_severity(cloud, watching):
    cloud.add("region", "region-1")
    watch = watching(severity="critical")
    watch.script("region-1").say(WAITS.format(pool="B"), FULL.format(pool="A"))
    assert watch.next()["pattern"] == "queue_full"
    assert watch.end() == []


def test_reports_gaps(cloud, watching):
    for number in range(1, 5):
        cloud.add("region", f"region-{number}")
    cloud.refuses["region-4"] = CaptureError(Reason.LOG_UNAVAILABLE, "it has none")
    watch = watching()
    watch.script("region-1").written.put(Gap("stream_lost", "cut\x1b[2J off", 1.0, 2.0))
    watch.script("region-2").written.put(Ended(verdict(Reason.FORBIDDEN, "pods/log")))
    watch.script("region-3").written.put(ZeroDivisionError("by 0"))
    told = {one["instance"]: one for one in (watch.next() for _time in range(4))}
    assert {one["kind"] for one in told.values()} == {"gap"}
    assert {one["verdict"] for one in told.values()} == {"unknown"}
    assert told["region-1"]["pattern"] == "stream_lost"
    assert "\x1b" not in told["region-1"]["text"]
    assert told["region-2"]["pattern"] == Reason.FORBIDDEN.value
    assert told["region-3"]["text"] == "ZeroDivisionError: by 0"
    assert told["region-4"]["pattern"] == Reason.LOG_UNAVAILABLE.value


def test_instance_that_is_gone_is_no_gap(cloud, watching):
    cloud.add("region", "region-1")
    watch = watching()
    script = watch.script("region-1")
    script.written.put(Ended(verdict(Reason.GONE)))
    script.say(FULL.format(pool="A"))
    assert watch.next()["kind"] == "hit"
    assert watch.end() == []


def test_reports_an_unseen_place_once(cloud, watching):
    cloud.add("region", "region-1")
    cloud.problems = [("onecloud", verdict(Reason.FORBIDDEN, "pods"))]
    watch = watching()
    event = watch.next()
    assert (event["kind"], event["instance"], event["pattern"]) == ("gap", "", Reason.FORBIDDEN.value)
    assert event["text"].startswith("onecloud: ")
    watch.script("region-1").say(FULL.format(pool="A"))
    assert watch.next()["kind"] == "hit"
    assert watch.end() == []


def test_follows_new_instances_from_before_they_were_seen(cloud, watching):
    cloud.add("region", "region-1")
    watch = watching(since=600)
    watch.script("region-1")
    cloud.add("region", "region-2")
    watch.script("region-2").say(FULL.format(pool="A"))
    assert watch.next()["instance"] == "region-2"
    assert cloud.back == [("region-1", 600), ("region-2", LIMITS.overlap)]


def test_follows_an_instance_that_came_back(cloud, watching):
    service = cloud.add("region", "region-1")
    watch = watching(cooldown=3600)
    first = watch.script("region-1")
    first.say(FULL.format(pool="A"))
    assert watch.next()["unsaid"] == 0
    del cloud.follows["region-1"]
    first.stop()
    second = watch.script("region-1")
    second.say(FULL.format(pool="B"))
    assert watch.next()["pool"] == "B"
    assert not service.ended


def test_reports_an_instance_anew_after_it_was_gone(cloud, watching):
    service = cloud.add("region", "region-1")
    watch = watching(cooldown=3600)
    watch.script("region-1").say(FULL.format(pool="A"))
    assert watch.next()["pool"] == "A"
    service.ended = True
    cloud.follows.pop("region-1").stop()
    seen = cloud.calls.count(("discover", ""))
    wait_until("more looks", lambda: cloud.calls.count(("discover", "")) >= seen + 3)
    service.ended = False
    watch.script("region-1").say(FULL.format(pool="A"))
    assert watch.next()["pool"] == "A"


def test_follower_looks_up_its_instance(cloud, watching):
    service = cloud.add("region", "region-1")
    watch = watching()
    script = watch.script("region-1")
    assert script.look().container_id == service.instance.container_id
    service.restart()
    assert script.look().container_id == service.instance.container_id


def test_reports_a_growing_count_once_it_is_a_verdict(cloud, watching):
    cloud.add("region", "region-1")
    watch = watching(limits=replace(LIMITS, asking=0.0), cooldown=3600)
    script = watch.script("region-1")
    script.say(BUSY.format(pool="A", cycles=2), WAITS.format(pool="B"), ago=540)
    assert watch.next()["pool"] == "B"
    script.say(BUSY.format(pool="A", cycles=20))
    told = watch.next()
    assert (told["pool"], told["verdict"], told["severity"], told["unsaid"]) == ("A", "stuck", "info", 1)


def test_restarted_container_begins_anew(cloud, watching):
    cloud.add("region", "region-1")
    watch = watching(cooldown=0, severity="info")
    script = watch.script("region-1")
    script.say(BUSY.format(pool="A", cycles=20), ago=30)
    assert watch.next()["verdict"] == "busy"
    script.say(BUSY.format(pool="A", cycles=21))
    assert watch.next()["verdict"] == "stuck"
    script.written.put(WriterChanged("cid-2", 1))
    script.say(BUSY.format(pool="A", cycles=2))
    assert watch.next()["verdict"] == "busy"


def test_reports_logs_beyond_the_limit(cloud, watching):
    for number in range(5):
        cloud.add("region", f"region-{number}")
    watch = watching(limits=replace(LIMITS, streams=2))
    event = watch.next()
    assert (event["kind"], event["pattern"]) == ("gap", "left_out")
    assert event["text"] == "3 logs beyond 2 are not followed"
    watch.end()
    assert len(cloud.follows) == 2


def test_no_thread_runs_on_after_the_end(cloud, watching):
    for number in range(20):
        cloud.add("region", f"region-{number}")
    watch = watching()
    for number in range(20):
        watch.script(f"region-{number}")
    watch.end()
    wait_until("the end of its threads", lambda: set(threading.enumerate()) <= watch.before)


def test_hit_without_a_pool_has_the_verdict_of_the_instance(cloud, watching):
    """A pool without a name that only waited says nothing of a crash."""
    name = cloud.add("region").instance.name
    watch = watching()
    script = watch.script(name)
    script.say(" detach worker #7(0xc0001, detach) GET /x(GET /x) due to reason timeout after 1m0s")
    assert watch.next()["verdict"] == "busy"
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime())
    script.written.put(Lines(f"{stamp} panic: runtime error: index out of range\n".encode()))
    event = watch.next()
    assert (event["pattern"], event["severity"], event["verdict"]) == ("runtime_panic", "critical", "stuck")
