# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods that write numbered log lines, and a log watch in this process that records the numbers it finds."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import re
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import LogWatchOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.log_watch import (
    LogWatch,
    LogWatchReport,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.api import Api, ApiProblem
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.continuity_steps import (
    NORMAL_LIMITS,
    PodFollowLimits,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.transport import (
    KubernetesTransport,
)
from deploy import manifests
from deploy.apply import Cluster
from world import World

from patience import patience, wait_until

ENDLESS = 1_000_000
# Log lost tasks, with a number: `each` lines in one container, which then exits and is restarted, until `total` lines
# are written or the file `stop` exists. The next number is kept in the pod's volume.
SPEAKER = """
cd /said; n=$(cat n 2>/dev/null || echo 0); end=$((n + {each}))
while [ $n -lt {total} ] && [ $n -lt $end ] && [ ! -e stop ]; do
  echo "[error 2026-11-25 10:00:00 appsrv.(*W).Run(workers.go:266)]P: queue full, task dropped {pad} #$n" >&2
  n=$((n + 1)); usleep {pause}
done
echo $n > new; mv new n; [ $n -ge {total} ] || [ -e stop ] || exit 3
while true; do sleep 1; done
"""
STOP = "cd /said; touch stop; until [ -s n ]; do usleep 20000; done; cat n"
NUMBER = re.compile(r"#(\d+)$")
LOGS = "/var/log/pods"
# The numbers in each file of a pod's log, oldest file first; the names sort by the time of rotation.
NUMBERS = """
cd {folder}; for file in $(ls | grep '^0[.]log[.]') 0.log; do
  echo file; case $file in *.gz) zcat $file ;; *) cat $file ;; esac | grep -o '#[0-9]*$'
done; true
"""


class CountingApi(Api):
    """API client that counts the failed log requests, including refused ones."""

    def __init__(self, *configuration: Any) -> None:
        super().__init__(*configuration)
        self.failures = 0

    def open_stream(self, path: str, *how: Any) -> Any:
        try:
            return super().open_stream(path, *how)
        except ApiProblem:
            self.failures += 1
            raise

    def await_failures(self, count: int, before: int) -> None:
        """Wait until `count` more requests failed than `before`."""
        wait_until(f"{count} failed requests", lambda: self.failures >= before + count)


class Watching:
    """Watch on a thread.

    said: the numbers in the hits, in the order of arrival. heard: for each instance (number, time of writing, time of
    arrival). began: the start of the watch.
    """

    def __init__(
        self, world: World, folder: Path, namespace: str, since: int = 600, limits: PodFollowLimits = NORMAL_LIMITS
    ) -> None:
        self.said: list[int] = []
        self.heard: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
        self.report = LogWatchReport()
        self.began = time.time()
        self.api = CountingApi({"kubeconfig": world.kubeconfig}, 40)
        transport = self._transport = KubernetesTransport(self.api, "c1", [namespace], follow_limits=limits)
        # Far longer than any of the tests may take: every watch is ended by its test.
        deadline = Deadline(patience(900))
        selection = select("", ["region"])
        found = discover(transport, selection, deadline)
        options = LogWatchOptions(since, patience(900), "duration")
        store = Store(str(folder / "part"))
        self._watch = LogWatch(transport, found, selection, store, options, deadline, on_hit=self._note)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.report = self._watch.run()

    def _note(self, instance: Any, hit: Any) -> None:
        number = int(NUMBER.search(hit.message)[1])
        self.said.append(number)
        self.heard[instance.name].append((number, hit.moment, time.time()))

    def until(self, count: int) -> None:
        """Wait for `count` hits in all."""
        wait_until(f"{count} hits", lambda: len(self.said) >= count, 120)

    def until_written_after(self, moment: float, name: str, count: int = 1) -> None:
        """Wait for `count` hits of an instance that were written after this time."""
        wait_until(
            f"{count} newer hits of {name}",
            lambda: len(self.heard[name]) >= count and self.heard[name][-count][1] > moment,
            120,
        )

    def end(self) -> LogWatchReport:
        """End the watch before its own duration passes, and return its report."""
        self._watch.stop()
        self._thread.join(patience())
        assert not self._thread.is_alive(), "the watch does not end when it is told to"
        self._transport.close()
        return self.report


class Speakers:
    """Pods in a new namespace that write numbered lines."""

    def __init__(self, world: World, cluster: Cluster) -> None:
        self.world = world
        self.cluster = cluster
        self.node = world.nodes[0]["name"]
        # Unique, so that no test has to wait until the pods of another one are deleted.
        self.namespace = f"watched-{uuid.uuid4().hex[:8]}"
        self.path = f"/api/v1/namespaces/{self.namespace}/pods"
        cluster.apply(manifests.namespace(self.namespace))
        # Without it, pods are refused. The controller manager creates it, but after an outage of the API server it
        # reconnects only every half a minute.
        account = {"name": "default", "namespace": self.namespace}
        cluster.call(
            "PATCH",
            f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default",
            query={"fieldManager": "cloudpods-tests", "force": "true"},
            body={"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        )
        cluster.apply(manifests.config_map("region", namespace=self.namespace))

    def speak(self, name: str, total: int = ENDLESS, each: int | None = None, pause: int = 5000, pad: int = 0) -> None:
        """Start a pod that writes `total` lines, or until it is stopped. pause: microseconds between two lines."""
        self.run(name, SPEAKER.format(total=total, each=each or total, pause=pause, pad="x" * pad))

    def run(self, name: str, script: str) -> None:
        """Start a pod that runs a shell script, with a volume at /said."""
        made = manifests.pod(
            "region",
            name=name,
            namespace=self.namespace,
            container_extra={
                "command": ["sh", "-c", script],
                "volumeMounts": [{"name": "said", "mountPath": "/said"}],
                "readinessProbe": None,
            },
            # With a node's name, because the scheduler reconnects as slowly as the controller manager.
            pod_extra={"initContainers": [], "terminationGracePeriodSeconds": 1, "nodeName": self.node},
        )
        made["spec"]["volumes"].append({"name": "said", "emptyDir": {}})
        self.cluster.apply(made)

    def status(self, name: str) -> dict[str, Any]:
        """Return the status of a pod's container; empty if it has none yet."""
        pod = self.cluster.call("GET", f"{self.path}/{name}") or {}
        (status,) = pod.get("status", {}).get("containerStatuses") or [{}]
        return dict(status)

    def await_running(self, name: str, restarts: int = 0) -> None:
        """Wait until a pod's container runs, after at least this number of restarts."""

        def runs() -> bool:
            status = self.status(name)
            return "running" in status.get("state", {}) and status["restartCount"] >= restarts

        wait_until(f"{name} to run", runs, 180)

    def await_lines(self, name: str) -> None:
        """Wait until a pod has written something."""
        self.await_running(name)
        log = ("-n", self.namespace, "logs", name, "--limit-bytes=1")
        wait_until(f"lines of {name}", lambda: self.world.kubectl(*log, check=False))

    def stop(self, name: str) -> int:
        """Stop a pod's output; return the number of lines that it has written in all."""
        return int(self.shell(name, STOP))

    def shell(self, name: str, command: str, *, check: bool = True) -> str:
        """Return the output of a shell command in a pod."""
        return self.world.kubectl("-n", self.namespace, "exec", name, "--", "sh", "-c", command, check=check)

    def on_node(self, command: str) -> str:
        """Return the output of a shell command on the pods' node."""
        return self.world.lab("exec", self.node, "--", "sh", "-c", command)

    def unsent(self, name: str, missing: set[int]) -> set[int]:
        """Return the missing numbers at the end of a rotated file.

        The kubelet continued with the next file before it had read them, and sent them to no client (docs/watching.md).
        """
        said = self.on_node(NUMBERS.format(folder=f"{LOGS}/{self.namespace}_{name}_*/*/"))
        rotated = [file.split() for file in said.split("file\n")[1:-1]]
        ends = [itertools.takewhile(missing.__contains__, (int(word[1:]) for word in file[::-1])) for file in rotated]
        return set(itertools.chain(*ends))

    def rotated(self, name: str) -> int:
        """Return the number of rotations of a pod's log, while the node keeps all its files."""
        return int(self.on_node(f"ls {LOGS}/{self.namespace}_{name}_*/*/ | grep -c '[.]log[.]2'; true"))

    def delete(self, name: str) -> None:
        """Delete a pod and wait until it is gone."""
        self.cluster.call("DELETE", f"{self.path}/{name}")
        wait_until(f"{name} to go", lambda: self.cluster.call("GET", f"{self.path}/{name}") is None, 180)

    def close(self) -> None:
        """Delete the namespace, without waiting for the end."""
        self.cluster.call("DELETE", f"/api/v1/namespaces/{self.namespace}")


def details(report: LogWatchReport, name: str) -> dict[str, Any]:
    """Return the details in the row of an instance."""
    (row,) = [row for row in report.rows if row.instance == name]
    return dict(row.details)


def moment_of(text: str) -> float:
    """Return seconds since 1970 of an end of a gap. An empty text is an unknown end."""
    if not text:
        return float("inf")
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@contextlib.contextmanager
def api_server_away(world: World, api: CountingApi, failures: int = 2) -> Iterator[None]:
    """Kill the API server for the duration of the block, which begins after this number of failed log requests."""
    before = api.failures
    world.lab("fault", "kill", "cp/kube-apiserver")
    try:
        api.await_failures(failures, before)
        yield
    finally:
        world.lab("fault", "start", "cp/kube-apiserver")
