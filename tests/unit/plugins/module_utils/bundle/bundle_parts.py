# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of a bundle, for tests."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict


def part(folder: Path, cluster: str, reason: Reason = Reason.PROVEN) -> str:
    store = Store(str(folder))
    instance = Instance(cluster=cluster, component="region", name="pod-1", namespace="onecloud")
    artifact = store.keep([cluster, "region", "pod-1"], "stack-1.txt", b"goroutine profile: total 0\n")
    store.record([row(instance, "stack", verdict(reason), artifact=artifact, details={"total": 3})])
    return str(folder)
