# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of profiles of services in memory."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from ansible_collections.cloudpods.diagnostics.plugins.module_utils import fanout
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import ProfileOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.run import Engine
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.profiles.collector import ProfileCollector
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import LedgerRow
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import KINDS
from capturing import everything
from fake_transport import JumpingClock

ALL = tuple(KINDS)


TRACE = "/debug/pprof/trace?seconds=1"


CPU = "/debug/pprof/profile?seconds=1"


@dataclasses.dataclass
class Ran:
    """One run: its rows, its collector, and the folder it wrote to."""

    rows_of_run: list[LedgerRow]
    collector: ProfileCollector
    folder: Path

    def rows(self, instance: str = "") -> dict[str, LedgerRow]:
        """Kind -> row, of the one instance."""
        rows = [row for row in self.rows_of_run if row.instance == instance or not instance]
        found = {row.capture.removeprefix("profile:"): row for row in rows}
        assert len(found) == len(rows)
        return found

    def reasons(self, instance: str = "") -> dict[str, str]:
        return {kind: row.reason for kind, row in self.rows(instance).items()}


def take(transport, folder, kinds=ALL, deadline=60.0, clock=None, fan_out=fanout.run, **options) -> Ran:
    clock = clock or JumpingClock()
    run_deadline, selection, store = Deadline(deadline, clock=clock), everything(transport), Store(str(folder))
    clock.rows = store.rows
    given = {"kinds": kinds, "cpu_seconds": 1, "timeout": 1.0, **options}
    wanted = ProfileOptions(**given)
    collector, found = ProfileCollector(transport, wanted), discover(transport, selection, run_deadline)
    limits = (wanted.concurrency, wanted.node_concurrency)
    engine = Engine(transport, selection, store, run_deadline, *limits, fan_out=fan_out)
    rows = engine.run([collector], found)
    on_disk = [LedgerRow.from_dict(json.loads(line)) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    assert on_disk == rows
    left = {path.suffix for path in folder.rglob("*.*")}
    assert left <= {".jsonl", ".json", ".gz", ".txt", ".html", ".out"}
    return Ran(rows, collector, folder)


def paths(transport, name=""):
    return [path for instance, path in transport.asked if name in ("", instance)]
