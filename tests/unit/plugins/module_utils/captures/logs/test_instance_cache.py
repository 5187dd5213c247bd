# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One list call serves all followers."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import FollowLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.instance_cache import InstanceCache
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import Discovery
from scripted import Cloud

from patience import patience, wait_until

SELECTION = select(components=["region"])


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def cache_of(cloud: Cloud) -> InstanceCache:
    return InstanceCache(cloud, SELECTION, Discovery(), FollowLimits(listing=patience(), shortest_listing=0.0))


def test_many_callers_share_one_list(cloud):
    key = cloud.add("region").instance.key
    cache, deadline, got = cache_of(cloud), Deadline(patience()), []
    threads = [threading.Thread(target=lambda: got.append(cache.get(key, deadline))) for _number in range(8)]
    for thread in threads:
        thread.start()
    wait_until("all to ask", lambda: cache._wanted and sum(thread.is_alive() for thread in threads) == 8)
    assert [instance.key for instance in cache.refresh(deadline)] == [key]
    for thread in threads:
        thread.join(patience())
    assert [instance.key for instance in got] == [key] * 8
    assert cloud.calls.count(("discover", "")) == 1


def test_failed_list_is_no_proof_that_an_instance_is_gone(cloud):
    cloud.problems = [("onecloud", verdict(Reason.FORBIDDEN))]
    cache, deadline, errors = cache_of(cloud), Deadline(patience()), []

    def ask() -> None:
        with pytest.raises(CaptureError) as raised:
            cache.get(("onecloud", "region", "region-1", "region"), deadline)
        errors.append(raised.value.verdict.reason)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until("it to ask", lambda: cache._wanted)
    cache.refresh(deadline)
    thread.join(patience())
    assert errors == [Reason.FORBIDDEN]


def test_failed_list_keeps_the_instances_of_the_one_before(cloud):
    key = cloud.add("region").instance.key
    cache, deadline = cache_of(cloud), Deadline(patience())
    ask(cache, deadline)
    cloud.services.clear()
    cloud.problems = [("onecloud", verdict(Reason.UNREACHABLE))]
    assert ask(cache, deadline) == []
    assert [instance.key for instance in cache.instances] == list(cache.seen_within(patience())) == [key]
    assert not cache.seen_within(0)
    cloud.problems = []
    ask(cache, deadline)
    assert not cache.instances


def ask(cache: InstanceCache, deadline: Deadline) -> list:
    """Refresh at once, as if a follower asked."""
    cache._wanted = cache._begun + 1
    return cache.refresh(deadline)


def test_closing_lets_waiting_callers_go(cloud):
    cache, deadline = cache_of(cloud), Deadline(patience())
    cache.close()
    with pytest.raises(CaptureError):
        cache.get(("onecloud", "region", "region-1", "region"), deadline)
    assert cache.refresh(deadline) == []
