# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every collector passes the suite of collector_conformance.py."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import (
    ProfileOptions,
    StackOptions,
    StatusOptions,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.profiles.collector import ProfileCollector
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.profiles.goroutines import (
    GoroutineCollector,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks.collector import StackCollector
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.status.collector import StatusCollector
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import ENDPOINTS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import KINDS
from capturing import everything
from collector_conformance import Conformance
from profiling import profiling


class TestStacks(Conformance):
    call = "open_process"

    def collector(self, transport, store):
        del store
        return StackCollector(transport, StackOptions(timeout=1.0, count=2, interval=0.0, barrier_timeout=0.0))


class TestStatus(Conformance):
    rows_of_full_disk = 2 * len(ENDPOINTS)

    def collector(self, transport, store):
        options = StatusOptions(timeout=1.0, samples=2, interval=0.0)
        return StatusCollector(transport, everything(transport), store, options)


class TestProfiles(Conformance):
    def service(self, transport, name="", **fields):
        return transport.add("region", name, answer=profiling, **fields)

    def collector(self, transport, store):
        del store
        return ProfileCollector(
            transport, ProfileOptions(tuple(KINDS), cpu_seconds=1, addresses=[0x401000], timeout=1.0)
        )


class TestGoroutines(TestProfiles):
    def collector(self, transport, store):
        del store
        return GoroutineCollector(transport, StackOptions(1.0, method="both"))


class TestOpportunisticGoroutines(TestProfiles):
    owes = False

    def collector(self, transport, store):
        del store
        return GoroutineCollector(transport, StackOptions(1.0, method="auto"))
