# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log watches on a real cluster: every matching line is found once, through restarts, rotations and outages."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.continuity_steps import (
    PodFollowLimits,
)
from deploy.apply import Cluster
from watching import Speakers, Watching, api_server_away, details
from world import World

from patience import wait_until


@pytest.fixture
def speakers(world: World, cluster: Cluster) -> Iterator[Speakers]:
    made = Speakers(world, cluster)
    yield made
    made.close()


def test_finds_lines_before_and_during_the_watch_once(world, speakers, tmp_path):
    speakers.speak("region-a")
    speakers.await_lines("region-a")
    watching = Watching(world, tmp_path, speakers.namespace)
    watching.until_written_after(watching.began, "region-a", count=300)
    total = speakers.stop("region-a")
    watching.until(total)
    report = watching.end()
    assert watching.said == list(range(total))
    assert watching.heard["region-a"][0][1] < watching.began
    assert (report.verdict, details(report, "region-a")["gaps"]) == ("dropping", 0)


def test_follows_a_restarting_container_without_loss(world, speakers, tmp_path):
    speakers.speak("region-b", 600, each=300)
    speakers.await_running("region-b")
    watching = Watching(world, tmp_path, speakers.namespace)
    watching.until(600)
    report = watching.end()
    assert watching.said == list(range(600))
    found = details(report, "region-b")
    assert (found["container_changes"], found["gaps"]) == (1, 0)


def test_reads_the_log_of_the_previous_container(world, speakers, tmp_path):
    speakers.speak("region-c", 400, each=200, pause=1000)
    speakers.await_running("region-c", restarts=1)
    watching = Watching(world, tmp_path, speakers.namespace)
    watching.until(400)
    report = watching.end()
    assert watching.said == list(range(400))
    assert details(report, "region-c")["container_changes"] == 1


def test_watches_a_new_pod_from_its_first_line_until_it_is_deleted(world, speakers, tmp_path):
    speakers.speak("region-d", 10)
    speakers.await_running("region-d")
    watching = Watching(world, tmp_path, speakers.namespace)
    watching.until(10)
    speakers.speak("region-late", 500)
    watching.until(510)
    speakers.delete("region-d")
    report = watching.end()
    assert sorted(watching.said) == sorted([*range(10), *range(500)])
    assert [
        (row.instance, row.reason, row.details["evidence"]) for row in report.rows if row.reason != "recorded"
    ] == []
    assert {row.instance for row in report.rows} == {"region-d", "region-late"}
    assert details(report, "region-late")["gaps"] == 0


def test_loses_no_line_if_the_api_server_restarts(world, speakers, tmp_path):
    speakers.speak("region-e")
    speakers.await_running("region-e")
    watching = Watching(world, tmp_path, speakers.namespace)
    watching.until(100)
    with api_server_away(world, watching.api):
        before = len(watching.said)
    back = time.time()
    watching.until_written_after(back, "region-e", count=100)
    total = speakers.stop("region-e")
    watching.until(total)
    report = watching.end()
    assert before < total
    assert watching.said == list(range(total))
    found = details(report, "region-e")
    assert found["gaps"] == 0, found["evidence"]


def test_reports_a_gap_if_the_api_server_stays_down(world, speakers, tmp_path):
    speakers.speak("region-f", 100)
    speakers.await_running("region-f")
    # An outage that lasts to the end of the watch is a gap at once.
    watching = Watching(world, tmp_path, speakers.namespace, limits=PodFollowLimits(tolerated_outage=0.0))
    watching.until(100)
    with api_server_away(world, watching.api):
        report = watching.end()
    (row,) = report.rows
    assert (row.reason, row.details["gaps"]) == ("log_gap", 1)


def test_follows_a_rotated_log_or_reports_a_gap(world, speakers, tmp_path):
    world.lab("kubelet", speakers.node, "--container-log-max-size", "16Ki")
    try:
        speakers.speak("region-g", pad=100)
        speakers.await_running("region-g")
        watching = Watching(world, tmp_path, speakers.namespace)
        watching.until(1)
        wait_until("two rotations", lambda: speakers.rotated("region-g") >= 2, 120)
        watching.until_written_after(time.time(), "region-g")
        total = speakers.stop("region-g")
        wait_until("the last line", lambda: total - 1 in watching.said, 120)
        report = watching.end()
        said = watching.said
        # Lines in files that were deleted by rotation before the watch began are not counted.
        missing = set(range(said[0], total)) - set(said)
        unsent = speakers.unsent("region-g", missing)
    finally:
        world.lab("kubelet", speakers.node)
    print(f"{total} lines, {len(missing)} missing, sent to nobody: {sorted(unsent)}, from {said[0]} on were read")
    assert said == sorted(set(said)), "some line came twice, or out of order"
    assert missing == unsent or details(report, "region-g")["gaps"] > 0, "lines are missing, and nothing says so"
