# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts with profiles for the tests of analysis."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.merge import read_ledger
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.analysis import (
    AnalysisRequest,
    analyse,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.report import ReportSettings
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from pprofs import CPU, packed

# A CPU profile has a sample for each 10 ms of work.
TICK = 10_000_000


BUSY = packed(CPU, [((90, 90 * TICK), ("main.hash", "main.main")), ((10, 10 * TICK), ("main.sort", "main.main"))])


CALM = packed(CPU, [((10, 10 * TICK), ("main.sort", "main.main"))])


IDLE = packed(CPU, [((1, TICK), ("fmt.(*pp).doPrintf", "main.main"))])


def ask(*paths, **fields):
    defaults = {"patterns": ["*.pb.gz"], "settings": ReportSettings(), "max_bytes": 1 << 20, "functions": 5}
    return analyse(AnalysisRequest(paths=[str(path) for path in paths], **{**defaults, **fields}))


def part(folder, profiles, reason=Reason.NOT_READ_HERE):
    """Write a part with these profiles {(instance, capture): bytes} and a row of a version."""
    store = Store(str(folder))
    rows = []
    for (name, capture), data in profiles.items():
        instance = Instance(cluster="c", component="region", name=name)
        artifact = store.keep(["c", "region", name], f"{capture}.pb.gz", data)
        details = {"seconds": 5}
        rows.append(row(instance, f"profile:{capture}", verdict(reason), artifact=artifact, details=details))
    rows.append(row(Instance(cluster="c", component="region", name="a"), "version", verdict(Reason.RECORDED)))
    store.finish(rows)
    return folder


def ledger(folder):
    return read_ledger((folder / "ledger.jsonl").read_bytes())
