# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected answer of each playbook to each trouble, as data; and the set-up of the troubles. Used by test_verdicts.

The troubles are those of deploy.health, most of them from real services with a false or missing verdict.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from audits import Plan, cloud_of
from deploy import states
from deploy.health import BY_NAME, FREEZE, TROUBLE_LABEL
from world import World

from patience import wait_until

# The cloud with the trouble that must be over comes first, because it takes longest.
PLAN: Plan = {
    "verdicts-1": ("over", "etcd-lost", "frozen-etcd", "db-slow", "db-full", "fresh-start", "hung-disk", "idle"),
    "verdicts-2": (
        "frozen", "frozen-replica", "frozen-unprobed", "waits-for-peer", "log-gone", "panics", "answers-ping-only",
        "says-not-ready",
    ),
}  # fmt: skip
CLOUD = {trouble: cloud_of(cloud) for cloud, troubles in PLAN.items() for trouble in troubles}
# By default, a watch selects the services that dump their goroutines, without etcd and scheduler.
COMPONENTS = {
    cloud_of(cloud): sorted({BY_NAME[trouble].component for trouble in troubles} | {"apigateway", "region", "keystone"})
    for cloud, troubles in PLAN.items()
}
# Five rounds of the watchdog: if the log does not mention a trouble for longer, the trouble is over.
OVER_SECONDS = 150
# The request storm and the errors of the trouble `over`.
LASTED_SECONDS = 5 + 3
# From the fourth restart on, the kubelet waits for longer than the tests of a crash loop take.
CRASHES = 4


@dataclass(frozen=True)
class Answer:
    """Expected answer of a playbook to a trouble.

    verdict: on the instance (watch) or component (audit) in trouble, or the status of its capture. by: the rule of the
    headline, or the reason of a capture; several if either is right. says: expressions that are all found in the
    answer. never: an expression that is not found in the headline.
    """

    verdict: str
    by: str | tuple[str, ...] = ""
    says: tuple[str, ...] = ()
    never: str = ""

    def misses(self, verdict: str, by: str, headline: str, *more: str) -> list[str]:
        """Return the differences as text. more: further text besides the headline."""
        said = "; ".join([headline, *more])
        wrong = [] if verdict == self.verdict else [f"verdict {verdict}, not {self.verdict}"]
        allowed = (self.by,) if isinstance(self.by, str) else self.by
        if self.by and by not in allowed:
            wrong.append(f"by {by}, not {' or '.join(allowed)}")
        wrong += [f"no word of {each!r}" for each in self.says if not re.search(each, said, re.IGNORECASE)]
        if self.never and re.search(self.never, headline, re.IGNORECASE):
            wrong.append(f"a word of {self.never!r}")
        return [*wrong, f"said: {said}"] if wrong else []


_SILENT = r"silent|silence|no line|nothing (was )?(written|logged)"
_LOST_LOG = r"resolving symlinks"
_STOPPED = Answer("refused", "process_stopped", (r"stopped \(SIGSTOP\)",))

WATCH = {
    "frozen": Answer("unknown", says=(_SILENT, "not ready", "/ping")),
    "frozen-replica": Answer("unknown", says=(_SILENT, "not ready", "/ping")),
    "frozen-unprobed": Answer("unknown", says=(_SILENT, "/ping")),
    "frozen-etcd": Answer("unknown", says=(_SILENT, "not ready")),
    "waits-for-peer": Answer("stuck", says=("the oldest task", "GET /v1/images")),
    "log-gone": Answer("unknown", says=(_LOST_LOG,)),
    "panics": Answer("stuck", "crash_loop", ("panic",)),
    "answers-ping-only": Answer("healthy"),
    "says-not-ready": Answer("unknown", says=("scheduler is not ready",)),
    "etcd-lost": Answer("busy", says=("etcd",)),
    "db-slow": Answer("busy", never="connection"),
    "db-full": Answer("busy", says=("Error 1040: Too many connections",)),
    "over": Answer("dropping", says=("tasks lost[^;]*; over since",)),
    "fresh-start": Answer("busy", says=("start",)),
    "hung-disk": Answer("healthy"),
    "idle": Answer("healthy"),
}

AUDIT = {
    "frozen": Answer("critical", "not_answering", ("hangs", "capture its stacks")),
    "frozen-replica": Answer("critical", "not_answering", ("hangs", "capture its stacks")),
    "frozen-unprobed": Answer("critical", "not_answering", ("hangs", "capture its stacks")),
    "frozen-etcd": Answer("warning", "instance_not_ready", ("not ready",)),
    # One request a second arrives, so that the queue may have grown by the rule's threshold at the second sample.
    "waits-for-peer": Answer(
        "critical",
        ("worker_pool_saturated", "worker_queue_growing"),
        ("HttpGetRequestWorkerManager", "8 of 8 workers|all 8 workers"),
    ),
    "log-gone": Answer("unknown", says=(r"log was not read \(log_unavailable\)",)),
    "panics": Answer("critical", "instance_crash_loop", ("exit code 2",)),
    "answers-ping-only": Answer("warning", "endpoint_not_answering", ("worker_stats",)),
    "says-not-ready": Answer("warning", "ping_refused", ("scheduler is not ready",)),
    "etcd-lost": Answer("critical", "log_serious", ("etcd",)),
    "db-slow": Answer(
        "critical",
        ("worker_pool_saturated", "worker_pool_nearly_full", "worker_queue_growing", "slow_paths"),
        never="connect",
    ),
    "db-full": Answer("critical", says=("Error 1040: Too many connections",)),
    "over": Answer("warning", says=("over|ended",)),
    "fresh-start": Answer("warning", says=("start", "drains")),
    "hung-disk": Answer("ok"),
    "idle": Answer("ok"),
}

STACKS = {
    "frozen": _STOPPED,
    "frozen-replica": _STOPPED,
    "frozen-unprobed": _STOPPED,
    "log-gone": Answer("failed", "log_unavailable", (_LOST_LOG, "no signal is sent")),
    "panics": Answer("refused", "crash_loop"),
    # One thread hangs in the kernel, and the others write the dump.
    "hung-disk": Answer("complete", "proven"),
    "waits-for-peer": Answer("complete", "proven"),
    "answers-ping-only": Answer("complete", "proven"),
    "db-slow": Answer("complete", "proven"),
    "idle": Answer("complete", "proven"),
}

PROFILES = {
    "frozen": Answer("failed", "no_answer"),
    "idle": Answer("complete", ("profile_whole", "profile_empty")),
}


def pods(world: World) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the troubles of the plan, and their pods."""
    for namespace in dict.fromkeys(CLOUD.values()):
        living = [
            each for each in world.pods(namespace, TROUBLE_LABEL) if not each["metadata"].get("deletionTimestamp")
        ]
        for pod in living:
            yield pod["metadata"]["labels"][TROUBLE_LABEL], pod


def act(world: World) -> None:
    """Apply the outside faults to the pods, and wait until the probes of the kubelet have detected them."""
    for trouble, pod in pods(world):
        if BY_NAME[trouble].act == FREEZE:
            freeze(world, pod)
        elif BY_NAME[trouble].act:
            lose_log(world, pod)
    probed = {"frozen", "frozen-replica", "frozen-etcd"}

    def unready() -> bool:
        return not [trouble for trouble, pod in pods(world) if trouble in probed and states.is_ready(pod)]

    wait_until("the frozen pods to be not ready", unready)


def freeze(world: World, pod: dict[str, Any]) -> None:
    """Stop the processes of a pod's only container (SIGSTOP). They end with the pod, because SIGKILL works on them."""
    (status,) = pod["status"]["containerStatuses"]
    world.lab("fault", "freeze", f"{pod['spec']['nodeName']}/{status['containerID'].partition('://')[2]}")


def lose_log(world: World, pod: dict[str, Any]) -> None:
    """Make a pod's log a link to a missing file, as on nodes with a replaced container runtime (moby's links)."""
    metadata, (container,) = pod["metadata"], pod["spec"]["containers"]
    folder = f"/var/log/pods/{metadata['namespace']}_{metadata['name']}_{metadata['uid']}/{container['name']}"
    link = f"rm {folder}/0.log && ln -s /var/lib/docker/containers/gone/gone-json.log {folder}/0.log"
    world.lab("exec", pod["spec"]["nodeName"], "--", "sh", "-c", link)


def start_anew(world: World, trouble: str) -> None:
    """Replace the pod of a trouble by a new one."""
    for planted, pod in pods(world):
        if planted == trouble:
            metadata = pod["metadata"]
            world.kubectl("-n", metadata["namespace"], "delete", "pod", metadata["name"], "--wait=false")


def watchdog_speaks(world: World, trouble: str) -> bool:
    """Return whether the watchdog of the pod of a trouble has logged a busy pool."""
    (metadata,) = [pod["metadata"] for planted, pod in pods(world) if planted == trouble]
    log = world.kubectl("-n", metadata["namespace"], "logs", metadata["name"], "--tail=200", check=False)
    return "has been busy for" in log


def crash_loop_waits(world: World) -> bool:
    """Return whether the panicking container waits for its next start, for long."""
    (pod,) = [pod for trouble, pod in pods(world) if trouble == "panics"]
    return states.restarts_of(pod) >= CRASHES and states.state_of(pod) == states.CRASH_LOOP


def old_trouble_is_over(world: World) -> bool:
    """Return whether enough time has passed since the trouble `over`."""
    (pod,) = [pod for trouble, pod in pods(world) if trouble == "over"]
    started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(started.replace("Z", "+00:00"))
    return age.total_seconds() > LASTED_SECONDS + OVER_SECONDS
