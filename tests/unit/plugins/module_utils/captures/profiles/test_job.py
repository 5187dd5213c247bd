# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests of one instance, and the captures that its jobs owe."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.profiles.job import (
    NAMES,
    ProfileJob,
    ProfileTarget,
    captures_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import component_of, http_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import KINDS

INSTANCE = Instance("c1", "region", "region-1", ports=(30888,))


@pytest.fixture
def target() -> ProfileTarget:
    http = http_of(component_of("region"), INSTANCE.ports)
    assert http is not None
    return ProfileTarget(INSTANCE, http)


@pytest.mark.parametrize("names", [False, True])
def test_owes_each_kind_and_the_names_if_addresses_are_given(names):
    kinds = [KINDS["heap"], KINDS["cpu"]]
    assert captures_of(kinds, names) == ["profile:heap", "profile:cpu", *([NAMES] if names else [])]
    assert NAMES == "profile:names"


def test_requests_go_to_the_service_port(target):
    request = target.request("/debug/pprof/heap", b"body")
    assert (request.scheme, request.port, request.path, request.body) == ("https", 30888, "/debug/pprof/heap", b"body")


def test_jobs_of_an_instance_share_what_closed_it(target):
    first = ProfileJob(target, [KINDS["heap"]], ["profile:heap"])
    second = ProfileJob(target, [KINDS["cpu"]], ["profile:cpu"], first)
    assert first.target is second.target
    assert (second.previous, second.owed, second.reason) == (first, ["profile:cpu"], None)
