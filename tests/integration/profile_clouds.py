# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services with profiling on, and calls of the profile module. Shared by the tests of profiles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import manifests
from deploy.manifests import Behaviour
from deploy.sets import Set, expectation
from world import Run, call, ledger

SWITCHED_ON = "enable_app_profiling: true\n"
REGIONS = 2
# `spin` is in per cent of a processor: enough for the samples that name a function in a profile.
BEHAVIOURS: dict[str, Behaviour] = {"region": {"spin": 25, "chan_wait": 7}, "notify": {"spin": 5}}
CPU_SECONDS = 3
TRACE_SECONDS = 1  # the default of the role
# Go's default for requests without seconds.
GO_DEFAULT_SECONDS = 30
WHOLE = {
    "index": "recorded",
    "cmdline": "recorded",
    "symbol": "recorded",
    "heap": "profile_whole",
    "allocs": "profile_whole",
    "goroutine": "profile_whole",
    "goroutine_debug1": "proven",
    "goroutine_debug2": "profile_whole",
    "threadcreate": "profile_whole",
    "block": "profile_empty",
    "mutex": "profile_empty",
    "cpu": "profile_whole",
    "trace": "profile_whole",
}


def workloads(namespace: str, *components: str) -> Set:
    """Return services with profiling on. glance has it off, and mcp-server has none at all."""
    made, expected = [manifests.namespace(namespace)], []
    for component in components:
        extra = "" if component == "glance" else SWITCHED_ON
        made.append(manifests.config_map(component, namespace=namespace, extra=extra))
        if component == "host-image":
            # Not on the nodes' own network, where the port is taken by a service of another namespace.
            apart = {"hostNetwork": False, "hostPID": False, "hostIPC": False}
            made.append(manifests.daemonset(component, namespace=namespace, pod_extra=apart))
        else:
            replicas = REGIONS if component == "region" else 1
            behaviour = BEHAVIOURS.get(component)
            made.append(manifests.deployment(component, namespace=namespace, replicas=replicas, behaviour=behaviour))
        expected.append(expectation(made[-1]))
    return Set(namespace, made, expected)


@dataclass
class Taken:
    """The result and the files of one module call."""

    result: dict[str, Any]
    folder: Path

    @property
    def rows(self) -> list[dict[str, Any]]:
        return ledger(self.folder)

    def reasons(self, instance: str) -> dict[str, str]:
        rows = [row for row in self.rows if row["instance"] == instance]
        found = {row["capture"].removeprefix("profile:"): row["reason"] for row in rows}
        assert len(found) == len(rows)
        return found


def take(kubeconfig: str, folder: Path, *arguments: str, **options: Any) -> Taken:
    """Call the installed module by Ansible, as a user does."""
    outcome, result = call("profile_dump", kubeconfig, folder, *arguments, **options)
    assert outcome in ("SUCCESS", "CHANGED"), result
    return Taken(result, folder / "part")


def addresses(run: Run | Taken) -> dict[str, str]:
    """Return the function of each address, from a dump of one replica of region."""
    folder = run.bundle if isinstance(run, Run) else run.folder
    wanted = ("region", "profile:goroutine_debug1", "complete")
    row = next(row for row in run.rows if (row["component"], row["capture"], row["status"]) == wanted)
    found = re.findall(r"^#\t(0x[0-9a-f]+)\t+(\S+)\+0x[0-9a-f]+\t", (folder / row["path"]).read_text(), re.MULTILINE)
    return dict(found)
