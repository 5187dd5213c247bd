# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances reached through the API server of a Kubernetes cluster.

Only API features that Kubernetes has had since 1.15 are used: core/v1 pods, pods/log, and pods/exec over WebSocket
(v4.channel.k8s.io). The configured client comes from kubernetes.core (its options, its K8S_AUTH_* variables).
"""

from __future__ import annotations

import contextlib
import datetime
import math
import secrets
from typing import Any, Sequence

from ..catalog import BINARY_DIR, Selection, binary_paths, component_of, label_values
from ..deadline import Deadline
from ..model import CaptureError, Instance, Reason, utc_now
from . import probe
from .base import Discovery, LogStream, ProcessSession, Transport, sort_instances
from .kubernetes_api import Api, ApiProblem, Stream
from .kubernetes_exec import ExecSession
from .kubernetes_pods import instances_of

PAGE = 500
# How long a log stream may take to show its first old line before the log is taken to be empty. The API server
# answers a followed log only with its first byte, so an empty log cannot be told from a slow one.
FIRST_LINE_SECONDS = 3.0
# A shell that waits in a container goes by itself when nothing is asked of it for so long.
SHELL_PATIENCE_SECONDS = 120


class KubernetesTransport(Transport):
    """One cluster. namespaces are looked at one after the other; a forbidden one is a problem, not the end."""

    name = "kubernetes"

    def __init__(
        self,
        api: Api,
        cluster: str = "",
        namespaces: Sequence[str] = (),
        binary_dirs: Sequence[str] = (BINARY_DIR,),
    ) -> None:
        self._api = api
        self._cluster = cluster or api.cluster_name
        self._namespaces = list(namespaces)
        self._binary_dirs = list(binary_dirs)

    def close(self) -> None:
        self._api.close()

    def discover(self, selection: Selection, deadline: Deadline) -> Discovery:
        found = Discovery()
        for namespace in self._namespaces:
            try:
                pods = self._pods(namespace, "app", label_values(selection), deadline)
                present = {instance.component for pod in pods for instance in self._instances(pod, selection)}
                missing = [name for name in selection.names if name not in present]
                if selection.named and missing:
                    # Not every pod of other origin carries the short label.
                    pods += self._pods(namespace, "app.kubernetes.io/component", missing, deadline)
            except ApiProblem as problem:
                found.problems.append((namespace, problem.verdict))
                continue
            for pod in {pod["metadata"]["uid"]: pod for pod in pods}.values():
                found.instances += self._instances(pod, selection)
        found.instances = sort_instances(found.instances)
        return found

    def _instances(self, pod: dict[str, Any], selection: Selection) -> list[Instance]:
        return instances_of(pod, self._cluster, selection)

    def _pods(self, namespace: str, label: str, values: Sequence[str], deadline: Deadline) -> list[dict[str, Any]]:
        query = {"labelSelector": "{} in ({})".format(label, ",".join(values)), "limit": str(PAGE)}
        pods: list[dict[str, Any]] = []
        while True:
            page = self._api.get_json(f"/api/v1/namespaces/{namespace}/pods", query, deadline)
            pods += page.get("items") or []
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return pods
            query["continue"] = more

    def open_log(self, instance: Instance, deadline: Deadline) -> LogStream | None:
        return self._log(instance, {"tailLines": "1"}, deadline, FIRST_LINE_SECONDS)

    def reopen_log(self, instance: Instance, since: datetime.datetime, deadline: Deadline) -> LogStream | None:
        # sinceSeconds counts on the node's clock, so that skew between the clocks does not matter.
        seconds = math.ceil((utc_now() - since).total_seconds()) + 2
        return self._log(instance, {"sinceSeconds": str(seconds)}, deadline, deadline.remaining())

    def _log(self, instance: Instance, window: dict[str, str], deadline: Deadline, patience: float) -> LogStream | None:
        path = f"/api/v1/namespaces/{instance.namespace}/pods/{instance.name}/log"
        query = dict(window, container=instance.container, follow="true")
        try:
            response = self._api.open_stream(path, query, deadline, patience)
        except ApiProblem as problem:
            raise CaptureError(_log_reason(problem), problem.text) from problem
        if response is None:
            return None
        return PodLog(response, deadline, old_first_line="tailLines" in window)

    def open_process(self, instance: Instance, deadline: Deadline) -> ProcessSession:
        word = secrets.token_hex(8)
        component = component_of(instance.component)
        arguments = probe.command(
            word,
            SHELL_PATIENCE_SECONDS,
            [component.config] if component.config else [],
            binary_paths(component, self._binary_dirs),
        )
        path = f"/api/v1/namespaces/{instance.namespace}/pods/{instance.name}/exec"
        query = [("container", instance.container), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        query += [("command", argument) for argument in arguments]
        return ExecSession(self._api.websocket_options(path, query), word, deadline)


def _log_reason(problem: ApiProblem) -> Reason:
    if problem.code == 400:
        return Reason.LOG_UNAVAILABLE
    return problem.reason


class PodLog(LogStream):
    """A followed log as the API server streams it."""

    def __init__(self, response: Stream, deadline: Deadline, old_first_line: bool) -> None:
        self.old_first_line = old_first_line
        self._deadline = deadline
        self._chunks = response.chunks()
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(response.close)
        self._cleanup.enter_context(deadline.guard(response.cut_off))

    def read(self) -> bytes:
        self._deadline.check()
        data = next(self._chunks, b"")
        if not data:
            self._deadline.check()
        return data

    def close(self) -> None:
        self._cleanup.close()
