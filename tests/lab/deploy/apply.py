# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploy a set of stand-ins on the lab, or delete it.

    python3 tests/lab/deploy/apply.py SET [--namespace NS] [--wait] [--delete] [--kubeconfig FILE]
    python3 tests/lab/deploy/apply.py health --trouble NAME[,NAME…] …    `--trouble list` lists them

A set is healthy, trouble, waiting, bench or health.

Applying is idempotent (server-side apply). `--wait` returns when every pod is in its expected state, and the logs of
the services show that their signal traps are registered. Deleting ends when the namespace is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kubernetes import client, config
from lablib.core import LabError, say, wait_for

from deploy import health, manifests, states
from deploy.expectations import Object, complaint, pods_of, ready
from deploy.sets import HEALTH, NAMESPACES, ONE_A_NODE, SETS, Expectation, Set

WAIT_SECONDS = 240.0
NODES = 2  # nodes of a lab by default
AT_ONCE = 12  # pods that start at a time: with more, each is slower on a machine with two cores
DELETE_GRACE_SECONDS = 1  # also for pods with an hour as their grace period


@dataclass(frozen=True)
class Patience:
    """Seconds until a wait gives up, and between two polls; each poll lists all objects in the namespace."""

    seconds: float = WAIT_SECONDS
    poll_seconds: float = 0.3


DEFAULT = Patience()
FIELD_MANAGER = "cloudpods-lab"
LOG_HEAD_BYTES = 1 << 20

_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
}
_WORKLOADS = ("Deployment", "DaemonSet", "Pod")


class Cluster:
    """API calls for deploying, on plain dicts. LabError if the API server refuses one."""

    def __init__(self, api: client.ApiClient) -> None:
        self.api = api

    @classmethod
    def connect(cls, kubeconfig: str | Path | None = None, context: str | None = None) -> Cluster:
        """Connect by kubeconfig; None for the user's own (KUBECONFIG)."""
        return cls(config.new_client_from_config(str(kubeconfig) if kubeconfig else None, context))

    def close(self) -> None:
        """Close its connections."""
        self.api.rest_client.pool_manager.clear()

    def call(self, method: str, path: str, *, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        """Send one request; return the decoded body, or None for 404."""
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        # By the connection pool itself: the client's generic call has another signature in each of its versions.
        response = self.api.rest_client.pool_manager.request(
            method,
            f"{self.api.configuration.host}{path}?{urlencode(query or {})}",
            headers=headers,
            body=None if body is None else json.dumps(body).encode(),
        )
        if response.status == 404:
            return None
        if response.status >= 400:
            raise LabError(f"{method} {path}: {response.status} {response.data.decode(errors='replace')}")
        return json.loads(response.data)

    def apply(self, manifest: Object) -> None:
        """Create or change an object."""
        metadata = manifest["metadata"]
        path = f"{_PATHS[manifest['kind']].format(metadata.get('namespace'))}/{metadata['name']}"
        self.call("PATCH", path, query={"fieldManager": FIELD_MANAGER, "force": "true"}, body=manifest)

    def make_namespace(self, name: str) -> None:
        """Create a namespace and wait for its service account, because pods are refused before."""
        self.apply(manifests.namespace(name))
        account = f"{_PATHS['Namespace']}/{name}/serviceaccounts/default"
        wait_for(f"the service account of {name}", lambda: self.call("GET", account), seconds=WAIT_SECONDS)

    def list(self, kind: str, namespace: str) -> list[Object]:
        """Return all objects of a kind."""
        found = self.call("GET", _PATHS[kind].format(namespace))
        return found["items"] if found else []

    def log(self, pod: Object) -> str:
        """Return the beginning of the log of a pod's first container."""
        metadata = pod["metadata"]
        return client.CoreV1Api(self.api).read_namespaced_pod_log(
            metadata["name"], metadata["namespace"], container=pod["spec"]["containers"][0]["name"],
            limit_bytes=LOG_HEAD_BYTES,
        )  # fmt: skip


def apply(cluster: Cluster, wanted: Set) -> None:
    """Create or change all objects of a set, and delete the pods that must be terminating."""
    for manifest in wanted.manifests:
        cluster.apply(manifest)
    terminate(cluster, wanted)


def terminate(cluster: Cluster, wanted: Set) -> None:
    """Delete the pods that must be terminating, once they run."""
    for name in wanted.delete:
        path = f"{_PATHS['Pod'].format(wanted.namespace)}/{name}"
        pod = wait_for(f"pod {name}", lambda path=path: _up(cluster.call("GET", path)), seconds=WAIT_SECONDS)
        wait_for(f"log of {name}", lambda pod=pod: ready(cluster.log(pod)), seconds=WAIT_SECONDS)
        cluster.call("DELETE", path)


def _up(pod: Object | None) -> Object | None:
    return pod if pod and states.state_of(pod) in {states.RUNNING, states.TERMINATING} else None


def roll_out(cluster: Cluster, wanted: Set, patience: Patience = DEFAULT) -> None:
    """Deploy a set step by step and wait until it is as expected; at most AT_ONCE pods start at a time.

    A single workload of more pods than that is created when no other one starts.
    """
    expected = {(each.kind, each.name): each for each in wanted.expectations}
    applied: list[Expectation] = []
    proven: set[str] = set()
    starting = 0  # pods, at most
    for manifest in wanted.manifests:
        one = expected.get((manifest["kind"], manifest["metadata"]["name"]))
        pods = _pods(one) if one else 0
        if one and starting + pods > AT_ONCE:
            late = _wait(cluster, wanted.namespace, applied, proven, patience, starting=max(AT_ONCE - pods, 0))
            starting = sum(_pods(each) for each in late)
        cluster.apply(manifest)
        if one:
            applied.append(one)
            starting += pods
    terminate(cluster, wanted)
    _wait(cluster, wanted.namespace, wanted.expectations, proven, patience)


def _pods(expected: Expectation) -> int:
    return NODES if expected.count == ONE_A_NODE else expected.count


def wait(cluster: Cluster, wanted: Set, seconds: float = WAIT_SECONDS) -> None:
    """Wait until all is as expected. After this number of seconds, LabError names the rest."""
    _wait(cluster, wanted.namespace, wanted.expectations, set(), Patience(seconds))


def _wait(
    cluster: Cluster,
    namespace: str,
    expectations: Iterable[Expectation],
    proven: set[str],
    patience: Patience,
    *,
    starting: int = 0,
) -> list[Expectation]:
    """Wait until at most this number of pods is not as expected; return the workloads of those."""
    late: list[tuple[Expectation, str]] = []

    def satisfied() -> bool:
        late[:] = unmet(cluster, namespace, expectations, proven)
        return sum(_pods(each) for each, _complaint in late) <= starting and (starting > 0 or not late)

    try:
        wait_for(f"namespace {namespace}", satisfied, seconds=patience.seconds, poll_seconds=patience.poll_seconds)
    except LabError as failed:
        raise LabError(f"{failed}: {'; '.join(complaint for _each, complaint in late)}") from failed
    return [each for each, _complaint in late]


def unmet(
    cluster: Cluster, namespace: str, expectations: Iterable[Expectation], proven: set[str]
) -> list[tuple[Expectation, str]]:
    """Return the unmet expectations and the complaint. proven: uids of the pods with a ready log; it grows."""
    objects = {kind: {each["metadata"]["name"]: each for each in cluster.list(kind, namespace)} for kind in _WORKLOADS}
    complaints = []
    for expected in expectations:
        pods = pods_of(expected, objects["Pod"].values())
        found = complaint(expected, objects[expected.kind].get(expected.name), pods)
        if not found and expected.speaks and expected.state == states.RUNNING:
            fresh = [pod for pod in pods if pod["metadata"]["uid"] not in proven]
            proven |= {pod["metadata"]["uid"] for pod in fresh if ready(cluster.log(pod))}
            mute = [pod["metadata"]["name"] for pod in fresh if pod["metadata"]["uid"] not in proven]
            found = f"not ready by their logs: {', '.join(mute)}" if mute else ""
        if found:
            complaints.append((expected, found))
    return complaints


def delete(cluster: Cluster, namespace: str, seconds: float = WAIT_SECONDS) -> None:
    """Delete a namespace with everything in it; wait until it is gone. A missing namespace is no error."""
    background = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    for kind in ("Deployment", "DaemonSet"):
        cluster.call("DELETE", _PATHS[kind].format(namespace), body=background)
    soon = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": DELETE_GRACE_SECONDS}

    def empty() -> bool:
        """Delete again each time, because a controller may have created another pod in the meantime."""
        cluster.call("DELETE", _PATHS["Pod"].format(namespace), body=soon)
        return not cluster.list("Pod", namespace)

    wait_for(f"the pods of {namespace} to go", empty, seconds=seconds, poll_seconds=DEFAULT.poll_seconds)
    path = f"{_PATHS['Namespace']}/{namespace}"
    cluster.call("DELETE", path)
    wait_for(f"namespace {namespace} to go", lambda: cluster.call("GET", path) is None, seconds=seconds)


@contextlib.contextmanager
def deployed(cluster: Cluster, wanted: Set) -> Iterator[None]:
    """Deploy a set for the duration of the block, wait until it is as expected, and delete it without waiting.

    No other test may use its namespace before it is gone.
    """
    roll_out(cluster, wanted)
    try:
        yield
    finally:
        now = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        cluster.call("DELETE", f"{_PATHS['Namespace']}/{wanted.namespace}")
        cluster.call("DELETE", _PATHS["Pod"].format(wanted.namespace), body=now)


def chosen(name: str, namespace: str, trouble: str) -> Set:
    """Return the set of that name, with its troubles. ValueError for troubles that it cannot have."""
    if name == HEALTH:
        return SETS[name](namespace, trouble)
    if trouble != health.NONE:
        raise ValueError(f"only the set {HEALTH} has any")
    return SETS[name](namespace)


def main() -> None:
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("--namespace", help="instead of the set's own")
    parser.add_argument("--trouble", default=health.NONE, help="of the set `health`: its troubles, or `list`")
    parser.add_argument("--wait", action="store_true", help="return when every pod is as expected")
    parser.add_argument("--delete", action="store_true", help="take it away instead")
    parser.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG"))
    parser.add_argument("--context")
    asked = parser.parse_args()
    if asked.trouble == "list":
        print("\n".join(f"{each.name:24}{each.component:10}{each.about}" for each in health.TROUBLES))
        return
    namespace = asked.namespace or NAMESPACES[asked.set]
    try:
        wanted = chosen(asked.set, namespace, asked.trouble)
    except ValueError as refused:
        parser.error(f"--trouble: {refused}")
    try:
        cluster = Cluster.connect(asked.kubeconfig, asked.context)
        if asked.delete:
            delete(cluster, namespace)
        elif asked.wait:
            roll_out(cluster, wanted)
        else:
            apply(cluster, wanted)
    except (LabError, config.ConfigException) as failed:
        sys.exit(f"apply: {failed}")
    say(f"{asked.set} in {namespace}: {'gone' if asked.delete else 'applied'}")


if __name__ == "__main__":
    main()
