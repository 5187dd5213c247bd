# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small clouds with planted troubles for audits, as data. Pure.

A cloud holds the essential components for an audit, and those in trouble. A trouble is in one pod, which has a workload
of its own and the label TROUBLE_LABEL. If a rule compares replicas, the pod has healthy replicas beside it. A cloud
holds several troubles if each is in a component of its own, so that a finding belongs to one of them: every further pod
costs the machine of the tests about a second. No pod shares a node's network, so that several such clouds fit on one
lab. The exceptions are the troubles of `host`: one of those at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy import manifests, states
from deploy.components import COMPONENTS, DAEMON_SET, POD
from deploy.manifests import Behaviour, Manifest

TROUBLE_LABEL = "cloudpods.lab/trouble"
NONE = "none"

# Without one of these, an audit reports a cloud as critical.
ESSENTIAL = ("keystone", "region", "glance", "scheduler", "apigateway")
# component -> replicas of the cloud without a trouble: every kind of HTTP side, and replicas to compare.
WHOLE = {
    **dict.fromkeys(ESSENTIAL, 1), "region": 2, "keystone": 2, "notify": 1, "logger": 1, "webconsole": 1, "monitor": 1,
}  # fmt: skip
LOAD: dict[str, Behaviour] = {
    "region": {"http_rate": 5},
    "keystone": {"http_rate": 5},
    "glance": {"http_rate": 2},
    "notify": {"http_rate": 2},
}
# Audits ignore init containers, and each costs as much as another pod.
_NO_INIT: Mapping[str, Any] = {"initContainers": []}
NOT_THERE = -1  # as a number of replicas: not even a workload exists
# Actions of a test on the pod of a trouble once it runs.
FREEZE = "freeze"  # stop all processes of its container (SIGSTOP)
LOSE_LOG = "lose the log"  # make its log on the node a dangling link: the kubelet cannot read it


@dataclass(frozen=True)
class Trouble:
    """Trouble of one pod, component or cloud.

    behaviour: of the pod in trouble, in place of its load. fellows: healthy replicas beside that pod. replicas: of the
    whole component, instead of a pod in trouble. everywhere: behaviour of all components of the whole cloud instead.
    of_cluster: an audit's findings concern no single component. act: the action on its pod from outside, FREEZE or
    LOSE_LOG; empty for none. state, ready, restarts: the expected result for its pod, as of an Expectation, before that
    action.
    """

    name: str
    about: str
    component: str = "region"
    behaviour: Behaviour = field(default_factory=dict)
    container: Mapping[str, Any] = field(default_factory=dict)
    fellows: int = 0
    replicas: int | None = None
    everywhere: bool = False
    of_cluster: bool = False
    act: str = ""
    state: str = states.RUNNING
    ready: bool | None = True
    restarts: int = 0


def _on_the_wire(component: str, fault: str, about: str) -> Trouble:
    """Return a trouble of one endpoint without a readiness probe: the pod stays ready."""
    return Trouble(f"answer-{fault}", about, component, {"http_fault": fault, "http_fault_path": "/worker_stats"})


_ONCE = "/dev/shm/standin"  # noqa: S108 a pod's, not a container's
# The operator's probe queries etcd itself, which a stand-in cannot answer.
_RUNS = {"exec": {"command": ["sh", "-c", "! grep -q 'State:.T' /proc/[0-9]*/status"]}}
_MUTE = {"http_slow": "forever", "http_timeout": "forever"}
# A storm of requests while the database is locked: the queue is full until the lock is released.
_LOCKED = {"http_storm": 760, "http_timeout": "forever", "http_rate": 10}

TROUBLES = (
    # Worker pools.
    Trouble("pool-saturated", "all workers busy for ever, requests queue", "notify",
            behaviour={**_MUTE, "http_storm": 100}),
    Trouble("queue-full", "all workers busy for ever, the queue is full, requests are dropped with 429", fellows=1,
            behaviour={**_MUTE, "http_storm": 700, "http_rate": 5}),
    Trouble("queue-growing", "the pool of cron jobs is stuck, and more come", "logger",
            behaviour={"pool": "CronJobWorkers", "pool_tasks": 4, "pool_rate": 15}),
    Trouble("workers-detached", "hundreds of requests hang, and the pool looks idle", "cloudid",
            behaviour={"http_slow": "forever", "http_timeout": "2s", "http_storm": 300}),
    Trouble("pool-busy", "cron jobs take for ever, and two wait; the watchdog counts", fellows=1, behaviour={
        "pool": "CronJobWorkers", "pool_tasks": 6, "watchdog": "200ms", "http_rate": 5}),
    # The database.
    Trouble("db-exhausted", "all connections in use for ever, others wait", fellows=1,
            behaviour={"db_wait": 20, "db_conns": 4}),
    # A burst every two seconds takes 0.4 s. Samples that are an odd number of seconds apart see it at most once.
    Trouble("db-waiting", "requests come in bursts and wait for the few connections", "notify",
            {"db_max": 2, "db_latency": "100ms", "http_rate": 4, "http_burst": 8}),
    # Requests.
    Trouble("errors", "three of ten requests end with 500", "logger", {"http_rate": 40, "http_errors": 30}),
    Trouble("slow-path", "GET of its main path takes three seconds", "yunionconf", {"http_rate": 2, "http_slow": "3s"}),
    # Goroutines and memory. A growing value is an outlier from the beginning.
    Trouble("goroutines-many", "thousands more than its fellow", "cloudnet", {"goroutines": 5000, "stacks": 50},
            fellows=1),
    Trouble("goroutines-growing", "hundreds a second more", "cloudnet", {"goroutines": 1000, "leak": 250}, fellows=1),
    Trouble("memory-much", "hundreds of megabytes more than its fellow", "cloudevent", {"heap": 400}, fellows=1),
    Trouble("memory-growing", "twenty megabytes a second more", "cloudevent",
            {"heap": 250, "heap_growth": 20, "heap_most": 4000}, fellows=1),
    # Versions.
    Trouble("version-of-a-replica", "one replica was built from another commit", "keystone",
            {"version_commit": "77aa01c4e5d0f4c7e9f0b5a3f6f1f0b8a1c5d7e9"}, fellows=1),
    Trouble("version-of-a-component", "glance is from another release", "glance",
            {"version_branch": "release/3.11", "http_rate": 2}, of_cluster=True),
    # Kubernetes.
    Trouble("not-ready", "its readiness probe gets no answer", "apigateway", ready=False,
            behaviour={"http_fault": "hang", "http_fault_path": "/ping"}),
    Trouble("restarted", "ended once and was started again", "logger", restarts=1,
            behaviour={"life": "1s", "once": _ONCE}),
    Trouble("restarting", "ends a second after each start", "cloudid", state=states.CRASH_LOOP, ready=False, restarts=1,
            behaviour={"life": "1s"}),
    Trouble("crash-loop", "ends at once", "cloudnet", state=states.CRASH_LOOP, ready=False, restarts=1,
            behaviour={"start": "crash"}),
    Trouble("oom-killed", "outgrew its memory limit once and was started again", "cloudevent", restarts=1,
            behaviour={"heap_growth": 200, "once": _ONCE},
            container={"resources": {"requests": {"memory": "0"}, "limits": {"memory": "64Mi"}}}),
    Trouble("scaled-to-zero", "notify has no replicas", "notify", replicas=0),
    Trouble("missing", "scheduler is not deployed", "scheduler", replicas=NOT_THERE),
    # No response, or an unreadable one, from a ready pod.
    Trouble("hung", "takes connections and never answers", "notify", {"http_fault": "hang"}),
    Trouble("deaf", "takes connections and does not even read", "logger", {"http": "deaf"}),
    Trouble("no-tls", "speaks plain HTTP on its TLS port", "yunionconf", {"http": "plain"}),
    # One task more than its worker and its queue hold, so that the log has a drop before any request.
    Trouble("internal-pool-full", "has no worker left for the questions themselves", "cloudnet",
            {"pool": "InternalHttpRequestWorkerManager", "pool_tasks": 12}),
    _on_the_wire("region", "hang", "one of its endpoints never answers"),
    _on_the_wire("keystone", "drip", "a byte a second"),
    _on_the_wire("glance", "huge", "100 MB"),
    _on_the_wire("apigateway", "bad-json", "JSON that ends in the middle"),
    _on_the_wire("region", "bad-utf8", "bytes that are no text"),
    _on_the_wire("keystone", "empty", "nothing"),
    _on_the_wire("glance", "html", "a web page"),
    _on_the_wire("devtool", "gzip", "compressed, unasked"),
    _on_the_wire("notify", "cut", "a chunked body without its end"),
    _on_the_wire("logger", "short", "half of the declared length"),
    _on_the_wire("yunionconf", "reset", "a reset connection"),
    _on_the_wire("cloudnet", "close", "a closed connection"),
    _on_the_wire("cloudevent", "redirect", "a redirect to elsewhere"),
    _on_the_wire("cloudid", "unavailable", "503 in plain text"),
    # Certificates.
    Trouble("certificate-ending", "its certificate ends in five days", "cloudevent", {"cert_days": 5}),
    Trouble("certificate-ended", "its certificate has ended", "cloudid", {"cert_days": 0}),
    Trouble("certificate-of-another", "its certificate is for another name", "devtool", {"cert_name": "other.example"}),
    # Seen on real services, with wrong verdicts at that time (tests/integration/troubles.py).
    Trouble("frozen", "stopped by SIGSTOP; its readiness probe fails", "keystone", act=FREEZE),
    Trouble("frozen-replica", "one of two replicas is stopped by SIGSTOP", "region", fellows=1, act=FREEZE),
    Trouble("frozen-unprobed", "stopped by SIGSTOP; no probe looks at it, so it stays ready", "logger", act=FREEZE),
    Trouble("frozen-etcd", "stopped by SIGSTOP; its readiness probe fails", "etcd", act=FREEZE,
            container={"readinessProbe": {**_RUNS, "periodSeconds": 1, "failureThreshold": 2}}),
    Trouble("etcd-lost", "has lost its session with etcd", "region", {"etcd_lost": "5s", "http_rate": 5}),
    Trouble("waits-for-peer", "all of its workers wait for another service, and sixty requests queue", "glance",
            {**_MUTE, "http_storm": 68, "http_rate": 1}),
    Trouble("answers-ping-only", "answers /ping and nothing else", "yunionconf",
            {"http_fault": "hang", "http_fault_not": "/ping"}),
    Trouble("says-not-ready", "its /ping says that the scheduler is not ready", "scheduler", {"ping_ready": "forever"}),
    Trouble("hung-disk", "its main thread is in uninterruptible sleep on a file system that does not answer", "glance",
            {"disk": "stuck", "http_rate": 2}),
    Trouble("log-gone", "the kubelet cannot read its log", "notify", act=LOSE_LOG),
    Trouble("panics", "dies of a Go panic seconds after each start", "cloudid", state=states.CRASH_LOOP, ready=False,
            restarts=1, behaviour={"life": "3s", "death": "panic"}),
    Trouble("db-full", "the database takes no more connections", "notify", {"db_story": "full:0s", "http_rate": 5}),
    Trouble("db-slow", "queries failed for a few seconds; since then each takes half a second", "logger",
            {"db_story": "broken:5s,slow:0s", "http_rate": 20}),
    Trouble("over", "its queue was full for five seconds, then queries failed for three; since then all is well",
            "cloudnet", {**_LOCKED, "http_rate": 0, "db_story": "locked:5s,broken:3s,ok:0s"}),
    Trouble("fresh-start", "was started just now: its cron jobs are all due at once", "cloudevent",
            {"cron_burst": 44, "cron_time": "16s", "watchdog": "10s", "http_rate": 2}),
    Trouble("idle", "has nothing to do, and profiling is on: no trouble at all", "devtool",
            container={"command": [*COMPONENTS["devtool"].containers[0].command, "--enable-app-profiling"]}),
    # On the nodes' network: one such cloud at a time, and none beside the healthy set.
    Trouble("host-hung", "the host agents take connections and do not even read", "host", {"http": "deaf"},
            ready=False),
    # No trouble, but different from the newest release.
    Trouble("old-release", "all of it is 3.10", behaviour={"release": "3.10"}, everywhere=True),
)  # fmt: skip

BY_NAME: dict[str, Trouble] = {trouble.name: trouble for trouble in TROUBLES}
HEALTHY = Trouble(NONE, "nothing wrong", behaviour={}, everywhere=True)


def troubles_of(names: str) -> list[Trouble]:
    """Return the troubles of names, separated by commas. ValueError lists the known ones."""
    made = []
    for name in names.split(","):
        if name != NONE and name not in BY_NAME:
            raise ValueError(f"no trouble {name!r}; there are: {', '.join((NONE, *BY_NAME))}")
        made.append(BY_NAME.get(name, HEALTHY))
    return made


@dataclass(frozen=True)
class Part:
    """One workload of a cloud. trouble: the one that its pods are in, if any."""

    component: str
    workload: Manifest
    trouble: Trouble | None = None


def cloud(troubles: Sequence[Trouble], namespace: str) -> list[Part]:
    """Return the workloads of a cloud with these troubles. ValueError if an audit could not tell them apart."""
    if any(each.everywhere for each in troubles):
        if len(troubles) > 1:
            raise ValueError("a trouble of all components has a cloud of its own")
        return [
            _deployment(component, replicas, namespace, {**LOAD.get(component, {}), **troubles[0].behaviour})
            for component, replicas in WHOLE.items()
        ]
    planted = {each.component: each for each in troubles}
    if len(planted) < len(troubles) or sum(each.of_cluster for each in troubles) > 1:
        raise ValueError("two troubles of a cloud are of the same component, or of the whole cluster")
    parts = []
    for component in dict.fromkeys((*ESSENTIAL, *planted)):
        if component in planted:
            parts += _with_trouble(planted[component], namespace)
        else:
            parts.append(_deployment(component, 1, namespace, LOAD.get(component)))
    return parts


def _with_trouble(trouble: Trouble, namespace: str) -> list[Part]:
    """Return the workloads of the component that has the trouble."""
    component, load = trouble.component, LOAD.get(trouble.component)
    if trouble.replicas == NOT_THERE:
        return []
    if trouble.replicas is not None:
        return [_deployment(component, trouble.replicas, namespace, load)]
    options: dict[str, Any] = {
        "namespace": namespace,
        "behaviour": trouble.behaviour,
        "container_extra": trouble.container,
        "extra_labels": {TROUBLE_LABEL: trouble.name},
    }
    if COMPONENTS[component].kind == DAEMON_SET:
        return [Part(component, manifests.daemonset(component, **options), trouble)]
    if COMPONENTS[component].kind == POD:
        member = {"etcd_cluster": "default-etcd"}
        options["extra_labels"].update(member)
        return [Part(component, manifests.pod(component, name=f"default-{component}-x7k2p", **options), trouble)]
    odd = manifests.deployment(component, suffix=trouble.name, pod_extra=_NO_INIT, **options)
    fellows = [_deployment(component, trouble.fellows, namespace, load)] if trouble.fellows else []
    return [*fellows, Part(component, odd, trouble)]


def _deployment(component: str, replicas: int, namespace: str, behaviour: Behaviour | None) -> Part:
    made = manifests.deployment(
        component, namespace=namespace, replicas=replicas, behaviour=behaviour, pod_extra=_NO_INIT
    )
    return Part(component, made)
