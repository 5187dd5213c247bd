# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost of watching many quiet logs on the lab, and the time from a printed line to its hit.

Usage: watch_live.py [--pods N] [--seconds N]. The lab has to be up; LAB_NAME selects it. Prints a Markdown table.

Each log belongs to a pod of its own. Nearly all pods print one line at the start, which shows that the stream is open,
and no more; SPEAKERS of them log a lost task every 200 ms. A separate process watches them like the module log_watch,
from threads: first the logs of the speakers and then all. Both clocks are this machine's: that of the container
runtime's timestamp of a line, and that of the hit.

A kubelet uses one inotify instance for each followed log. All kubelets of the lab share this machine's limit, by
default 128, so it is raised during the run: real nodes have one limit each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for part in ("tests/tools", "tests/lab", "tests/integration"):
    sys.path.insert(0, str(ROOT / part))

import collection  # noqa: E402

sys.path.insert(0, str(collection.link()))

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store  # noqa: E402
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import LogWatchOptions  # noqa: E402
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover  # noqa: E402
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.log_watch import LogWatch  # noqa: E402
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select  # noqa: E402
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline  # noqa: E402
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance  # noqa: E402
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.api import Api  # noqa: E402
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.transport import (  # noqa: E402
    KubernetesTransport,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import Hit  # noqa: E402
from deploy import manifests  # noqa: E402
from deploy.apply import Cluster  # noqa: E402
from lablib.core import wait_for  # noqa: E402
from world import LAB  # noqa: E402

NAMESPACE = "onecloud-watched"
SPEAKERS = 5
LINE = "echo '[error 2026-11-25 10:00:00 appsrv.(*W).Run(workers.go:266)]P: queue full, task dropped' >&2"
QUIET = f"{LINE}; exec sleep 100000"
SPEAKS = f"while true; do {LINE}; usleep 200000; done"
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
# The time to open all streams, at most; it is reported separately.
OPENING_SECONDS = 60


def deploy(cluster: Cluster, pods: int) -> None:
    """Deploy the pods, and wait until they run."""
    cluster.apply(manifests.namespace(NAMESPACE))
    cluster.apply(manifests.config_map("region", namespace=NAMESPACE))
    account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"  # without it pods are refused
    wait_for("the service account", lambda: cluster.call("GET", account), seconds=60)
    for number in range(pods):
        script = SPEAKS if number < SPEAKERS else QUIET
        extra = {"command": ["sh", "-c", script], "readinessProbe": None}
        cluster.apply(
            manifests.pod(
                "region",
                name=f"region-{number}",
                namespace=NAMESPACE,
                container_extra=extra,
                pod_extra={"initContainers": [], "terminationGracePeriodSeconds": 1},
            )
        )
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"

    def running() -> bool:
        items = (cluster.call("GET", path) or {})["items"]
        return sum(pod["status"].get("phase") == "Running" for pod in items) == pods

    wait_for(f"{pods} pods", running, seconds=600)


def watch(kubeconfig: str, streams: int, seconds: float) -> dict[str, object]:
    """Watch this number of the logs in this process; return the measurements."""
    transport = KubernetesTransport(Api({"kubeconfig": kubeconfig}, streams + 5), "bench", [NAMESPACE])
    selection, deadline = select("", ["region"]), Deadline(OPENING_SECONDS + seconds + 60)
    found = discover(transport, selection, deadline)
    heard: set[str] = set()
    delays: list[float] = []

    def note(instance: Instance, hit: Hit) -> None:
        delays.append(time.time() - (hit.moment or 0.0))
        heard.add(instance.name)

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        options = LogWatchOptions(3600, OPENING_SECONDS + seconds, "duration")
        watching = LogWatch(transport, found, selection, Store(folder), options, deadline, on_hit=note)
        thread = threading.Thread(target=watching.run)
        begun = time.monotonic()
        thread.start()
        wait_for("all streams", lambda: len(heard) == streams, seconds=OPENING_SECONDS)
        opened, opening, first = time.monotonic() - begun, _cpu(), len(delays)
        time.sleep(seconds)  # the measured interval
        steady, last = _cpu() - opening, len(delays)
        watching.stop()
        thread.join()
    transport.close()
    return {
        "streams": streams,
        "opened": opened,
        "opening": opening,
        "steady": steady,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "delays": delays[first:last],
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def inotify_instances(more: int) -> Iterator[None]:
    """Raise the limit of inotify instances of this machine's kubelets for the duration of the block."""
    before = INOTIFY.read_text()
    INOTIFY.write_text(str(int(before) + more))
    try:
        yield
    finally:
        INOTIFY.write_text(before)


def report(runs: list[dict], seconds: float) -> None:
    print(f"### Watching quiet logs for {seconds:.0f} s\n")
    print(
        "| logs at once | open after s | CPU s until then | CPU s per minute after it | peak MiB "
        "| hits | delay ms: p50 | p99 | longest |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for run in runs:
        delays = sorted(delay * 1000 for delay in run["delays"])
        cuts = statistics.quantiles(delays, n=100)
        print(
            f"| {run['streams']} | {run['opened']:.1f} | {run['opening']:.1f} | {run['steady'] * 60 / seconds:.2f} "
            f"| {run['memory']:.0f} | {len(delays)} | {cuts[49]:.1f} | {cuts[98]:.1f} | {delays[-1]:.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=200)
    # Longer than the time after which a silent stream is checked.
    parser.add_argument("--seconds", type=float, default=75)
    # The number of logs that this process watches.
    parser.add_argument("--watch", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    state = subprocess.run([*LAB, "status", "--json"], check=True, capture_output=True, text=True).stdout
    kubeconfig = json.loads(state)["kubeconfig"]
    if arguments.watch:
        print(json.dumps(watch(kubeconfig, arguments.watch, arguments.seconds)))
        return
    cluster, runs = Cluster.connect(kubeconfig), []
    try:
        for pods in (SPEAKERS, arguments.pods):
            deploy(cluster, pods)
            command = [sys.executable, __file__, "--watch", str(pods), "--seconds", str(arguments.seconds)]
            with inotify_instances(pods):
                runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    finally:
        path = f"/api/v1/namespaces/{NAMESPACE}"
        cluster.call("DELETE", path)
        wait_for("the namespace to go", lambda: cluster.call("GET", path) is None, seconds=600)
    report(runs, arguments.seconds)


if __name__ == "__main__":
    main()
