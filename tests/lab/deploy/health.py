# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small clouds with exactly one trouble each, for audits, as data. Pure.

A cloud is what BASE says; NONE leaves it healthy. A trouble is in one replica, which has a workload of its own beside
the others of its component, or in the only replica of its component. Its pods carry the label TROUBLE_LABEL. No pod
shares a node's network, so that several such clouds fit on one lab, but for the troubles of `host`: one of those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy import manifests, states
from deploy.components import COMPONENTS, DAEMON_SET
from deploy.manifests import Behaviour, Manifest

TROUBLE_LABEL = "cloudpods.lab/trouble"
NONE = "none"

# component -> replicas, and what they have to do.
BASE = {
    "region": 3, "keystone": 2, "glance": 1, "scheduler": 1, "notify": 1, "logger": 1, "webconsole": 1,
    "apigateway": 1, "monitor": 1,
}  # fmt: skip
LOAD: dict[str, Behaviour] = {
    "region": {"http_rate": 5},
    "keystone": {"http_rate": 5},
    "glance": {"http_rate": 2},
    "notify": {"http_rate": 2},
}
NOT_THERE = -1  # as a number of replicas: there is not even a workload


@dataclass(frozen=True)
class Trouble:
    """One trouble. behaviour: of the replica in trouble, in place of its load.

    replicas: of the whole component, instead of one odd replica. everywhere: behaviour of all components instead.
    state, ready, restarts: what its pod comes to, as of an Expectation.
    """

    name: str
    about: str
    component: str = "region"
    behaviour: Behaviour = field(default_factory=dict)
    container: Mapping[str, Any] = field(default_factory=dict)
    replicas: int | None = None
    everywhere: bool = False
    state: str = states.RUNNING
    ready: bool | None = True
    restarts: int = 0


def _on_the_wire(fault: str, about: str, path: str = "/worker_stats") -> Trouble:
    """A trouble of a service without a readiness probe: its pod stays ready."""
    return Trouble(f"answer-{fault}", about, "notify", {"http_fault": fault, "http_fault_path": path})


_ONCE = "/dev/shm/standin"  # noqa: S108 a pod's, not a container's
_MUTE = {"http_slow": "forever", "http_timeout": "forever"}

TROUBLES = (
    # Worker pools.
    Trouble("pool-saturated", "all workers busy for ever, requests queue",
            behaviour={**_MUTE, "http_storm": 100}),
    Trouble("queue-full", "all workers busy for ever, the queue is full, requests are dropped with 429",
            behaviour={**_MUTE, "http_storm": 700, "http_rate": 5}),
    Trouble("queue-growing", "the pool of cron jobs is stuck, and more come",
            behaviour={"pool": "CronJobWorkers", "pool_tasks": 4, "pool_rate": 5}),
    Trouble("workers-detached", "hundreds of requests hang, and the pool looks idle",
            behaviour={"http_slow": "forever", "http_timeout": "2s", "http_storm": 300}),
    Trouble("pool-busy", "cron jobs take for ever, and two wait; the watchdog counts", behaviour={
        "pool": "CronJobWorkers", "pool_tasks": 6, "watchdog": "200ms", "http_rate": 5}),
    # The database.
    Trouble("db-exhausted", "all connections in use for ever, others wait", behaviour={"db_wait": 20, "db_conns": 4}),
    Trouble("db-waiting", "requests come in bursts and wait for the few connections",
            behaviour={"db_max": 2, "db_latency": "60ms", "http_rate": 2, "http_burst": 8}),
    # Requests.
    Trouble("errors", "three of ten requests end with 500", behaviour={"http_rate": 20, "http_errors": 30}),
    Trouble("slow-path", "GET /servers takes three seconds", behaviour={"http_rate": 2, "http_slow": "3s"}),
    # Goroutines and memory.
    Trouble("goroutines-many", "thousands more than its fellows", behaviour={"goroutines": 5000, "stacks": 50,
                                                                             "http_rate": 5}),
    Trouble("goroutines-growing", "fifty a second more", behaviour={"leak": 50, "http_rate": 5}),
    Trouble("memory-much", "hundreds of megabytes more than its fellows", behaviour={"heap": 400, "http_rate": 5}),
    Trouble("memory-growing", "ten megabytes a second more",
            behaviour={"heap_growth": 10, "heap_most": 2000, "http_rate": 5}),
    # Versions.
    Trouble("version-of-a-replica", "one replica was built from another commit",
            behaviour={"version_commit": "77aa01c4e5d0f4c7e9f0b5a3f6f1f0b8a1c5d7e9", "http_rate": 5}),
    Trouble("version-of-a-component", "glance is from another release", "glance",
            {"version_branch": "release/3.11", "http_rate": 2}),
    # Kubernetes.
    Trouble("not-ready", "its readiness probe gets no answer", ready=False,
            behaviour={"http_fault": "hang", "http_fault_path": "/ping", "http_rate": 5}),
    Trouble("restarted", "ended once and was started again", restarts=1,
            behaviour={"life": "3s", "once": _ONCE, "http_rate": 5}),
    Trouble("restarting", "ends five seconds after each start", state=states.ANY, ready=None, restarts=2,
            behaviour={"life": "5s", "http_rate": 5}),
    Trouble("crash-loop", "ends at once", state=states.CRASH_LOOP, ready=False, restarts=1,
            behaviour={"start": "crash"}),
    Trouble("oom-killed", "outgrew its memory limit once and was started again", restarts=1,
            behaviour={"heap_growth": 40, "once": _ONCE, "http_rate": 5},
            container={"resources": {"requests": {"memory": "0"}, "limits": {"memory": "64Mi"}}}),
    Trouble("scaled-to-zero", "notify has no replicas", "notify", replicas=0),
    Trouble("missing", "scheduler is not deployed", "scheduler", replicas=NOT_THERE),
    # No answer, or none that can be read, from a pod that is ready.
    Trouble("hung", "takes connections and never answers", "notify", {"http_fault": "hang"}),
    Trouble("deaf", "takes connections and does not even read", "notify", {"http": "deaf"}),
    Trouble("no-tls", "speaks plain HTTP on its TLS port", "notify", {"http": "plain"}),
    Trouble("internal-pool-full", "has no worker left for the questions themselves", "notify",
            {"pool": "InternalHttpRequestWorkerManager", "pool_tasks": 11}),
    _on_the_wire("hang", "one of its endpoints never answers"),
    _on_the_wire("drip", "a byte a second"),
    _on_the_wire("huge", "100 MB"),
    _on_the_wire("bad-json", "JSON that ends in the middle"),
    _on_the_wire("bad-utf8", "bytes that are no text"),
    _on_the_wire("empty", "nothing"),
    _on_the_wire("html", "a web page"),
    _on_the_wire("gzip", "compressed, unasked"),
    _on_the_wire("cut", "a chunked body without its end"),
    _on_the_wire("short", "half of the declared length"),
    _on_the_wire("reset", "a reset connection"),
    _on_the_wire("close", "a closed connection"),
    _on_the_wire("redirect", "a redirect to elsewhere"),
    _on_the_wire("unavailable", "503 in plain text"),
    # Certificates.
    Trouble("certificate-ending", "its certificate ends in five days", "notify", {"cert_days": 5}),
    Trouble("certificate-ended", "its certificate has ended", "notify", {"cert_days": 0}),
    Trouble("certificate-of-another", "its certificate is for another name", "notify", {"cert_name": "other.example"}),
    # On the nodes' network: one such cloud at a time, and none beside the healthy set.
    Trouble("host-hung", "the host agents take connections and do not even read", "host", {"http": "deaf"},
            ready=False),
    # No trouble, and yet not what the newest release says.
    Trouble("old-release", "all of it is 3.10", behaviour={"release": "3.10"}, everywhere=True),
)  # fmt: skip

BY_NAME: dict[str, Trouble] = {trouble.name: trouble for trouble in TROUBLES}
HEALTHY = Trouble(NONE, "nothing wrong", behaviour={}, everywhere=True)


def trouble_of(name: str) -> Trouble:
    """The trouble of a name. ValueError lists those that there are."""
    if name != NONE and name not in BY_NAME:
        raise ValueError(f"no trouble {name!r}; there are: {', '.join((NONE, *BY_NAME))}")
    return BY_NAME.get(name, HEALTHY)


@dataclass(frozen=True)
class Part:
    """One workload of a cloud and what it comes to. in_trouble: it is the one with the trouble."""

    component: str
    workload: Manifest
    in_trouble: bool = False


def cloud(trouble: Trouble, namespace: str) -> list[Part]:
    """The workloads of a cloud with this trouble."""
    parts = []
    for component, replicas in BASE.items():
        if trouble.component == component and not trouble.everywhere:
            parts += _with_trouble(trouble, replicas, namespace)
        else:
            behaviour = {**LOAD.get(component, {}), **(trouble.behaviour if trouble.everywhere else {})}
            parts.append(_deployment(component, replicas, namespace, behaviour=behaviour))
    if COMPONENTS[trouble.component].kind == DAEMON_SET:
        made = manifests.daemonset(trouble.component, namespace=namespace, **_options(trouble))
        parts.append(Part(trouble.component, made, in_trouble=True))
    return parts


def _with_trouble(trouble: Trouble, replicas: int, namespace: str) -> list[Part]:
    """The workloads of the component that has the trouble."""
    component, load = trouble.component, LOAD.get(trouble.component)
    if trouble.replicas == NOT_THERE:
        return []
    if trouble.replicas is not None:
        return [_deployment(component, trouble.replicas, namespace, behaviour=load)]
    suffix = trouble.name if replicas > 1 else ""
    parts = [_deployment(component, 1, namespace, in_trouble=True, suffix=suffix, **_options(trouble))]
    if replicas > 1:
        parts.insert(0, _deployment(component, replicas - 1, namespace, behaviour=load))
    return parts


def _options(trouble: Trouble) -> dict[str, Any]:
    label = {TROUBLE_LABEL: trouble.name}
    return {"behaviour": trouble.behaviour, "container_extra": trouble.container, "extra_labels": label}


def _deployment(component: str, replicas: int, namespace: str, *, in_trouble: bool = False, **options: Any) -> Part:
    made = manifests.deployment(component, namespace=namespace, replicas=replicas, **options)
    return Part(component, made, in_trouble)
