# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that the transport interface makes for all transports."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, Process
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import SYMBOL_PATH
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import (
    SIGUSR1_BIT,
    Discovery,
    HttpTarget,
    check_handlers,
    process_details,
    sort_instances,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.url import UrlTransport

from patience import patience

PROCESS = Process(7, 11, "/opt/yunion/bin/region", same_by="cgroup")
INSTANCE = Instance("c1", "region", "region-a")


@pytest.mark.parametrize(
    ("ignored", "caught", "reason"),
    [
        (SIGUSR1_BIT, SIGUSR1_BIT, Reason.USR1_IGNORED),
        (0, 0, Reason.USR1_NOT_CAUGHT),
        (0, ~SIGUSR1_BIT, Reason.USR1_NOT_CAUGHT),
    ],
)
def test_refuses_process_that_does_not_catch_the_signal(ignored, caught, reason):
    with pytest.raises(CaptureError) as refused:
        check_handlers(ignored, caught, "process 7")
    assert refused.value.verdict.reason is reason


def test_accepts_process_that_catches_the_signal():
    check_handlers(0, SIGUSR1_BIT, "process 7")


@pytest.mark.parametrize("path", ["/servers", "/ping/../servers", ""])
def test_requests_safe_paths_only(path):
    with pytest.raises(ValueError, match="not one of the paths"):
        UrlTransport({}).http_get(INSTANCE, HttpTarget("https", 1, path), Deadline(patience(), "test"), 100)


def test_get_has_no_body():
    with pytest.raises(ValueError, match="not one of the paths"):
        UrlTransport({}).http_get(INSTANCE, HttpTarget("https", 1, "/ping", b"x"), Deadline(patience(), "test"), 100)


@pytest.mark.parametrize(("path", "body"), [("/ping", b"0x1"), (SYMBOL_PATH, b"x=1"), (SYMBOL_PATH, b"")])
def test_posts_addresses_only(path, body):
    with pytest.raises(ValueError, match="nothing but addresses"):
        UrlTransport({}).http_post(INSTANCE, HttpTarget("https", 1, path, body), Deadline(patience(), "test"), 100)


def test_requests_nothing_after_the_deadline():
    with pytest.raises(DeadlineExceeded):
        UrlTransport({}).http_get(INSTANCE, HttpTarget("https", 1, "/ping"), Deadline(0.0, "test"), 100)


def test_details_name_the_state_of_a_stopped_process_only():
    assert "state" not in process_details(dataclasses.replace(PROCESS, state="S", waits_in="ep_poll"))
    stopped = process_details(dataclasses.replace(PROCESS, state="T"))
    assert (stopped["pid"], stopped["start_time_ticks"], stopped["state"]) == (7, 11, "T")


def test_sorts_instances_by_place_and_name():
    names = ["region-b", "region-a"]
    unsorted = [dataclasses.replace(INSTANCE, name=name) for name in names] + [Instance("b1", "region", "z")]
    assert [one.name for one in sort_instances(unsorted)] == ["z", "region-a", "region-b"]


def test_cluster_name_comes_from_instances():
    assert Discovery([INSTANCE]).cluster_or("other") == "c1"
    assert Discovery().cluster_or("other") == "other"
