# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faulty pods, one for each fault, as data. Pure.

All of them carry the labels of a component, as in a real cloud, and the label FAULT_LABEL with the fault's name, by
which a test finds its pod.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy import manifests, states
from deploy.components import CONFIG_DIR
from deploy.manifests import Behaviour, Manifest

FAULT_LABEL = "cloudpods.lab/fault"
UNREACHABLE_IMAGE = "localhost:1/gone:v0"  # a registry on the node's own loopback, where nothing listens

_REGION = "/opt/yunion/bin/region"
_CONFIG = f"--config {CONFIG_DIR}/region.conf"
# For pods that share a network with another one of their component: only one can have the port.
_NO_HTTP: Behaviour = {"http": "off"}


def _shell(script: str) -> dict[str, Any]:
    return {"command": ["/bin/sh", "-c", script]}


@dataclass(frozen=True)
class Fault:
    """One faulty pod.

    state: the state (deploy.states) that the pod reaches and stays in.
    speaks: its log has the line that the signal traps are registered.
    config: further lines of its configuration file. bare: a pod of its own, not a Deployment's.
    containers: names that replace the component's containers, all running its command.
    waits: a capture of it takes all the time that it is given, or its container's restart has to happen before the run
    ends, which only such a slow capture in the same run ensures.
    """

    name: str
    about: str
    component: str = "region"
    state: str = states.RUNNING
    speaks: bool = True
    behaviour: Behaviour = field(default_factory=dict)
    variant: str = ""
    pod: Mapping[str, Any] = field(default_factory=dict)
    container: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""
    bare: bool = False
    containers: tuple[str, ...] = ()
    waits: bool = False


FAULTS = (
    # Not running.
    Fault("pending", "no node fits", state=states.PENDING, pod={"nodeSelector": {"cloudpods.lab/none": "true"}}),
    Fault("init-stuck", "its init container waits for the database", state=states.INIT, behaviour={"init": "stuck"}),
    Fault("crash-loop", "ends right after its start", state=states.CRASH_LOOP, behaviour={"start": "crash"}),
    Fault("image-gone", "its image cannot be pulled", state=states.NO_IMAGE, pod={"initContainers": []},
          container={"image": UNREACHABLE_IMAGE, "imagePullPolicy": "IfNotPresent"}),
    Fault("terminating", "was told to stop an hour ago and still cleans up", state=states.TERMINATING, bare=True,
          behaviour={"shutdown": "1h"}, pod={"terminationGracePeriodSeconds": 3600}),
    # Running, and not to be signalled.
    Fault("no-shell", "the image has no shell", variant="-noshell"),
    Fault("two-processes", "the binary runs twice in the container", behaviour=_NO_HTTP,
          container=_shell(f"{_REGION} {_CONFIG} & exec {_REGION} {_CONFIG}")),
    Fault("ignored", "ignores SIGUSR1", behaviour={"usr1": "ignore"}),
    Fault("not-caught", "the program at the service's path is not a Go program: SIGUSR1 ends it", variant="-native",
          speaks=False, pod={"shareProcessNamespace": True, "initContainers": [], "terminationGracePeriodSeconds": 1}),
    Fault("prefix-flag", "logs to files, by flag: a dump is lost", speaks=False,
          container={"command": [_REGION, *_CONFIG.split(), "--log-file-prefix", "/tmp/region"]}),  # noqa: S108
    Fault("prefix-config", "logs to files, by configuration: a dump is lost", speaks=False,
          config="log_file_prefix: /tmp/region\n"),
    Fault("stderr-null", "standard error goes to /dev/null", speaks=False, behaviour={"stderr": "/dev/null"}),
    Fault("stderr-file", "standard error goes to a file in the container", speaks=False,
          behaviour={"stderr": "/tmp/region.err"}),  # noqa: S108
    Fault("wrong-container", "no container has the component's name", behaviour=_NO_HTTP,
          containers=("main", "sidecar")),
    Fault("no-process", "the container runs something else", speaks=False, container=_shell("exec sleep 2147483647"),
          pod={"terminationGracePeriodSeconds": 1}),
    # Running and signalled, without a complete dump.
    Fault("starting", "has not registered its traps yet: SIGUSR1 is swallowed", speaks=False,
          behaviour={"trap_delay": "forever"}, waits=True),
    Fault("half-dump", "stops for ever in the middle of its dump", behaviour={"dump_pause": "forever"}, waits=True),
    Fault("dies", "dies of SIGUSR1 without a dump", behaviour={"usr1": "exit"}, waits=True),
    Fault("restarts", "dumps and ends three seconds later", behaviour={"usr1": "restart"}),
    Fault("hung-shell", "the shell in the image never answers", variant="-hungshell", waits=True),
    # Running, with trouble around the version.
    Fault("small-memory", "has no memory to spare for -v", behaviour={"version_alloc": 128},
          container={"resources": {"requests": {"memory": "0"}, "limits": {"memory": "64Mi"}}}),
    Fault("version-hangs", "-v never ends", behaviour={"version_sleep": "forever"}),
    # Unusual, but a complete dump is expected.
    Fault("noisy", "hundreds of log lines a second, over ten thousand goroutines",
          behaviour={"log_rate": 500, "goroutines": 12000, "stacks": 400, "labels": 70, "deep": 110, "log_long": 20000,
                     "log_multiline": 5, "mutex_wait": 200, "db_wait": 100, "workers": 8, "worker_queue": 648}),
    Fault("hostile", "its log is full of pieces of dumps", behaviour={"log_hostile": True, "log_rate": 200,
                                                                      "labels": 70}),
    Fault("slow-dump", "pauses for two seconds in the middle of its dump", behaviour={"dump_pause": "2s"}),
    Fault("old-release", "dates of releases up to 3.8", behaviour={"log_format": "old", "log_rate": 200,
                                                                   "goroutines": 2000, "stacks": 100}),
    Fault("terminal", "its standard error is a terminal: colours, carriage returns", behaviour={"log_rate": 50},
          container={"tty": True}),
    Fault("shared-processes", "shares its process namespace: PID 1 is the pod's",
          pod={"shareProcessNamespace": True}),
    Fault("wrapped", "is the child of a shell", container=_shell(f"{_REGION} {_CONFIG}; exit $?"),
          pod={"terminationGracePeriodSeconds": 1}),
    Fault("carrier", "the host pod of an operator up to 3.12, which carries other components",
          behaviour=_NO_HTTP, component="host", containers=("host", "sdnagent", "host-health")),
)  # fmt: skip

BY_NAME: dict[str, Fault] = {fault.name: fault for fault in FAULTS}


def fault_manifests(fault: Fault, namespace: str) -> list[Manifest]:
    """Return the ConfigMap and the workload of a fault, both named after component and fault."""
    component, name = fault.component, fault.name
    options: dict[str, Any] = {
        "namespace": namespace,
        "config": manifests.full_name(component, name),
        "behaviour": fault.behaviour,
        "variant": fault.variant,
        "extra_labels": {FAULT_LABEL: name},
        "pod_extra": fault.pod,
        "container_extra": fault.container,
    }
    if fault.bare:
        workload = manifests.pod(component, name=manifests.full_name(component, name), **options)
        workload["metadata"]["labels"] = {**manifests.labels(component), FAULT_LABEL: name}
    else:
        workload = manifests.deployment(component, suffix=name, **options)
        workload["spec"]["strategy"] = {"type": "Recreate"}  # a new pod that never runs must not keep the old one
    spec = (workload if fault.bare else workload["spec"]["template"])["spec"]
    if fault.behaviour.get("http") == "off":
        spec["containers"] = [manifests.without_http(each) for each in spec["containers"]]
    if fault.containers:
        spec["containers"] = [renamed(spec["containers"][0], each) for each in fault.containers]
    return [manifests.config_map(component, namespace=namespace, suffix=name, extra=fault.config), workload]


def renamed(container: Manifest, name: str) -> Manifest:
    """Return the container under another name; a component's name selects that component's binary."""
    binary, *arguments = container["command"]
    own = f"/opt/yunion/bin/{name}"
    command = [own if name in {"sdnagent", "host-health"} else binary, *arguments]
    return {**container, "name": name, "command": command}
