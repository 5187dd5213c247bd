# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport to instances through the API server of a Kubernetes cluster.

It uses only API features that Kubernetes has had since 1.15: core/v1 pods, pods/log, pods/proxy, and pods/exec over
WebSocket (v4.channel.k8s.io); apps/v1 Deployments and DaemonSets. The configured client comes from kubernetes.core
(its options, its K8S_AUTH_* variables).
"""

from __future__ import annotations

import contextlib
import datetime
import math
import secrets
from typing import Any, Iterator, Sequence
from urllib.parse import quote

from ...catalog import BINARY_DIR, MANAGED_BY, Selection, binary_paths, component_of, label_values
from ...deadline import Deadline, DeadlineExceeded
from ...json_values import BadValue
from ...logtext.tail import TailBuffer
from ...model import Instance, Workload, utc_now
from ...reasons import CaptureError, Reason
from .. import http_client as http
from ..base import Discovery, HttpAnswer, HttpTarget, LogStream, ProcessSession, Sink, Transport, sort_instances
from ..follow import InstanceLookup, LogFollower
from . import probe
from .api import Api, Stream
from .continuity_steps import NORMAL_LIMITS, PodFollowLimits
from .exec_session import ExecSession
from .fields import pod_path
from .follow import PodLogFollower
from .http_proxy import ask, proxy_path
from .log_requests import PodLogRequests
from .pods import WORKLOAD_KINDS, PodReader, workload_of
from .problem import ApiProblem

# Longest wait for the first line of a log stream; then the log counts as empty. The API server answers a followed log
# only with its first byte, so an empty log looks like a slow one.
FIRST_LINE_SECONDS = 3.0
# A shell that waits in a container exits by itself after this long without a command.
SHELL_TIMEOUT_SECONDS = 120
# A pod's own address is often not reachable from here. Then its certificate is not read.
HANDSHAKE_SECONDS = 2.0
# The API limits the newest part of a log by lines only. A line of a service has a head of some 80 bytes, so a request
# for bytes / LINE_BYTES lines returns enough. If it returns LOG_EXCESS times the bytes, fewer lines are requested.
LINE_BYTES = 80
LOG_EXCESS = 4


class KubernetesTransport(Transport):
    """Transport of one cluster. A namespace that cannot be listed is reported as a problem; the others are used."""

    name = "kubernetes"
    lists_workloads = True

    def __init__(
        self,
        api: Api,
        cluster: str = "",
        namespaces: Sequence[str] = (),
        binary_dirs: Sequence[str] = (BINARY_DIR,),
        follow_limits: PodFollowLimits = NORMAL_LIMITS,
        first_line_seconds: float = FIRST_LINE_SECONDS,
    ) -> None:
        self._api = api
        self.cluster = cluster or api.cluster_name
        self._namespaces = list(namespaces)
        self._binary_dirs = list(binary_dirs)
        self._follow_limits = follow_limits
        self._first_line_seconds = first_line_seconds

    def close(self) -> None:
        self._api.close()

    def discover(self, selection: Selection, deadline: Deadline) -> Discovery:
        found = Discovery()
        for namespace in self._namespaces:
            pods = PodReader(namespace, self.cluster, selection)
            try:
                pods.take(self._pods(namespace, "app", label_values(selection), deadline))
                present = {instance.component for instance in pods.instances}
                missing = [name for name in selection.names if name not in present]
                if selection.named and missing:
                    # Pods that the operator did not create may lack the short label.
                    pods.take(self._pods(namespace, "app.kubernetes.io/component", missing, deadline))
            except ApiProblem as problem:
                found.problems.append((namespace, problem.verdict))
                continue
            found.instances += pods.instances
            found.problems += pods.problems
        found.instances = sort_instances(found.instances)
        return found

    def _pods(self, namespace: str, label: str, values: Sequence[str], deadline: Deadline) -> Iterator[Any]:
        query = {"labelSelector": "{} in ({})".format(label, ",".join(values))}
        return self._api.items(f"/api/v1/namespaces/{quote(namespace, safe='')}/pods", query, deadline)

    def workloads(self, selection: Selection, deadline: Deadline) -> list[Workload]:
        found: list[Workload] = []
        for namespace in self._namespaces:
            for kind, resource in WORKLOAD_KINDS.items():
                try:
                    # A workload's own labels differ from its pods', so its pod template tells the component.
                    path = _workload_path(namespace, resource)
                    items = self._api.items(path, {}, deadline)
                    made = (workload_of(kind, item, self.cluster, selection) for item in items)
                    found += [workload for workload in made if workload is not None]
                except ApiProblem as problem:
                    raise CaptureError(problem.reason, problem.text) from problem
                except BadValue as error:
                    raise CaptureError(Reason.BAD_ANSWER, str(error)) from error
        return sorted(found, key=lambda one: (one.namespace, one.component, one.name, one.kind))

    def why_empty(self, deadline: Deadline) -> str:
        for namespace in self._namespaces:
            for path in [f"/api/v1/namespaces/{quote(namespace, safe='')}/pods", *_workload_paths(namespace)]:
                try:
                    page = self._api.get_json(path, {"limit": "1"}, deadline)
                except ApiProblem as problem:
                    raise CaptureError(problem.reason, problem.text) from problem
                if page.get("items"):
                    return ""
        where = " and ".join(self._namespaces)
        return (
            f"Nothing runs in the namespace {where} of the cluster {self.cluster}, and nothing is to run there. Next: "
            f"name the namespace of Cloudpods with cloudpods_namespace; kubectl get pods -A -l {MANAGED_BY} shows it."
        )

    def open_log(self, instance: Instance, deadline: Deadline) -> LogStream | None:
        self._prove_log(instance, deadline)
        return self._log(instance, {"tailLines": "1"}, deadline, self._first_line_seconds)

    def reopen_log(self, instance: Instance, since: datetime.datetime, deadline: Deadline) -> LogStream | None:
        self._prove_log(instance, deadline)
        # sinceSeconds counts on the node's clock, so that skew between the clocks does not matter.
        seconds = math.ceil((utc_now() - since).total_seconds()) + 2
        return self._log(instance, {"sinceSeconds": str(seconds)}, deadline, deadline.remaining())

    def _prove_log(self, instance: Instance, deadline: Deadline) -> None:
        """Raise CaptureError unless the log can be read, or is empty.

        A kubelet that cannot open the log answers 200 and its error text. Only the missing timestamp tells it from the
        log. The dump is read without timestamps, so one more small request is needed.
        """
        try:
            PodLogRequests(self._api, deadline).prove(instance)
        except ApiProblem as problem:
            raise CaptureError(_log_reason(problem), problem.text) from problem

    def _log(self, instance: Instance, window: dict[str, str], deadline: Deadline, timeout: float) -> LogStream | None:
        path = f"{pod_path(instance)}/log"
        query = dict(window, container=instance.container, follow="true")
        try:
            response = self._api.open_stream(path, query, deadline, timeout)
        except ApiProblem as problem:
            raise CaptureError(_log_reason(problem), problem.text) from problem
        if response is None:
            return None
        return PodLogStream(response, deadline, old_first_line="tailLines" in window)

    def open_process(self, instance: Instance, deadline: Deadline) -> ProcessSession:
        nonce = secrets.token_hex(8)
        component = component_of(instance.component)
        arguments = probe.command(
            nonce,
            SHELL_TIMEOUT_SECONDS,
            [component.config] if component.config else [],
            binary_paths(component, self._binary_dirs),
        )
        path = f"{pod_path(instance)}/exec"
        query = [("container", instance.container), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        query += [("command", argument) for argument in arguments]
        return ExecSession(self._api.websocket_options(path, query), nonce, deadline)

    def _exchange(
        self, instance: Instance, target: HttpTarget, deadline: Deadline, max_bytes: int, sink: Sink
    ) -> HttpAnswer:
        return ask(self._api, proxy_path(instance, target), deadline, max_bytes, target.body, sink)

    def certificate(self, instance: Instance, target: HttpTarget, deadline: Deadline) -> bytes | None:
        if target.scheme != "https" or not instance.address:
            return None
        connect = http.to_address([instance.address], target.port)
        return http.certificate(connect, deadline.child(HANDSHAKE_SECONDS, "handshake"))

    def read_log(self, instance: Instance, seconds: int, deadline: Deadline, max_bytes: int) -> bytes:
        limit = LOG_EXCESS * max_bytes
        lines = max(1, max_bytes // LINE_BYTES)
        self._prove_log(instance, deadline)
        while True:
            newest = self._tail(instance, seconds, lines, limit, deadline, max_bytes)
            # limitBytes cuts off the newest lines, which are wanted.
            if newest.seen < limit or lines == 1:
                return newest.text()
            lines = max(1, lines // (2 * LOG_EXCESS))

    def follow_log(self, instance: Instance, seconds: int, look: InstanceLookup, deadline: Deadline) -> LogFollower:
        return PodLogFollower(self._api, instance, seconds, look, deadline, self._follow_limits)

    def _tail(
        self, instance: Instance, seconds: int, lines: int, limit: int, deadline: Deadline, max_bytes: int
    ) -> TailBuffer:
        path = f"{pod_path(instance)}/log"
        query = {"sinceSeconds": str(max(1, seconds)), "tailLines": str(lines), "limitBytes": str(limit)}
        newest = TailBuffer(max_bytes)
        try:
            stream = self._api.open_stream(path, dict(query, container=instance.container), deadline, math.inf)
        except ApiProblem as problem:
            raise CaptureError(_log_reason(problem), problem.text) from problem
        if stream is None:
            raise DeadlineExceeded(deadline.scope)
        try:
            with deadline.guard(stream.cut_off):
                for data in stream.chunks():
                    newest.add(data)
                    if newest.seen > limit:
                        break
        finally:
            stream.close()
        deadline.check()
        if stream.broken:
            raise CaptureError(Reason.LOG_UNAVAILABLE, "the connection broke while it was read")
        return newest


def _workload_path(namespace: str, resource: str) -> str:
    return f"/apis/apps/v1/namespaces/{quote(namespace, safe='')}/{resource}"


def _workload_paths(namespace: str) -> list[str]:
    return [_workload_path(namespace, resource) for resource in WORKLOAD_KINDS.values()]


def _log_reason(problem: ApiProblem) -> Reason:
    # 400: the container has no log. 404 of a kubelet page: the node is alive.
    if problem.code in (400, 404) and problem.reason is not Reason.GONE:
        return Reason.LOG_UNAVAILABLE
    return problem.reason


class PodLogStream(LogStream):
    """Log as the API server streams it."""

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
