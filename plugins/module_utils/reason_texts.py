# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text, next step and status of every reason that a ledger row can have.

Data only. reasons.verdict() builds the message of a row from it; docs/reasons.md is generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from .vocabulary import Reason, Status

EVERY_TRANSPORT = ("kubernetes", "host", "keystone", "url")

_KUBERNETES = ("kubernetes",)
_NODES = ("kubernetes", "host")
_URLS = ("keystone", "url")


@dataclass(frozen=True)
class ReasonText:
    """Status, text and next step of one reason.

    by: the transports that give this reason. A text names nothing that one of them does not know: with Keystone or a
    URL there is no pod, container or node, and on a machine itself there is no API server.
    """

    status: Status
    what: str
    next_step: str = ""
    by: tuple[str, ...] = EVERY_TRANSPORT


MEANINGS: dict[Reason, ReasonText] = {
    Reason.PROVEN: ReasonText(Status.COMPLETE, "the dump is complete: its blocks add up to the total that it states"),
    Reason.RECORDED: ReasonText(Status.COMPLETE, "read and saved"),
    Reason.LOG_GAP: ReasonText(
        Status.PARTIAL,
        "part of the log was not read",
        "see the gaps in log.json; watch again, or watch with the host transport on that machine",
    ),
    Reason.NOT_REDACTED: ReasonText(
        Status.FAILED,
        "the artifact could not be searched for secrets, so it was not saved",
        "report it, and include this row; to save it with any secrets in it, set cloudpods_redact=none",
    ),
    Reason.SAME_IMAGE: ReasonText(Status.COMPLETE, "the version was read once for this image ID; path names the file"),
    Reason.CUT_SHORT: ReasonText(
        Status.PARTIAL, "the deadline passed before the dump was complete", "raise cloudpods_timeout and run again"
    ),
    Reason.STREAM_ENDED: ReasonText(
        Status.PARTIAL,
        "the log stream ended before the dump was complete",
        "check whether the service restarted, then run again",
    ),
    Reason.DAMAGED: ReasonText(
        Status.PARTIAL,
        "lines of the dump are missing",
        "run again; if lines are missing again, look for log rotation on its machine",
    ),
    Reason.TOO_LARGE: ReasonText(
        Status.PARTIAL,
        "the log exceeded cloudpods_max_bytes before the dump was complete",
        "raise cloudpods_max_bytes and run again",
    ),
    Reason.NEVER_DUMPS: ReasonText(Status.REFUSED, "this component writes no dump on SIGUSR1"),
    Reason.RELOADS: ReasonText(Status.REFUSED, "SIGUSR1 makes this component reload its configuration"),
    Reason.MAY_DIE: ReasonText(Status.REFUSED, "SIGUSR1 may kill this component, because it is not a Go service"),
    Reason.PENDING: ReasonText(
        Status.REFUSED,
        "the pod is not scheduled to a node",
        "run kubectl describe pod to see what it waits for",
        _KUBERNETES,
    ),
    Reason.NOT_STARTED: ReasonText(
        Status.REFUSED,
        "the container has not started",
        "run kubectl describe pod to see what it waits for",
        _KUBERNETES,
    ),
    Reason.STUCK_IN_INIT: ReasonText(
        Status.REFUSED,
        "its initialization has not finished",
        "read its log; it may wait for the database or Keystone",
        _NODES,
    ),
    Reason.CRASH_LOOP: ReasonText(
        Status.REFUSED,
        "the container crashes repeatedly",
        "read the log of the previous container with kubectl logs --previous",
        _KUBERNETES,
    ),
    Reason.TERMINATING: ReasonText(
        Status.REFUSED,
        "the pod is being deleted, and its service writes no more dumps while it shuts down",
        "read its log to see what the shutdown waits for",
        _KUBERNETES,
    ),
    Reason.TERMINATED: ReasonText(
        Status.REFUSED,
        "the container has exited",
        "run kubectl describe pod to see its exit code and reason",
        _KUBERNETES,
    ),
    Reason.NODE_LOST: ReasonText(
        Status.REFUSED, "the node does not report to the cluster", "use the host transport on that node", _KUBERNETES
    ),
    Reason.UNTRUSTED: ReasonText(
        Status.REFUSED,
        "the process looks like the component's, but another user may have arranged that",
        "check which user started it, and where the links exe and root in /proc/PID point",
        ("host",),
    ),
    Reason.WRONG_CONTAINER: ReasonText(
        Status.REFUSED,
        "no container of the pod belongs to the component",
        "correct the name of the component, or list the container names with kubectl",
        _KUBERNETES,
    ),
    Reason.NO_SHELL: ReasonText(
        Status.REFUSED,
        "the image has no working /bin/sh",
        "use the host transport on the node, or /debug/pprof if profiling is on",
        _KUBERNETES,
    ),
    Reason.NO_PROCESS: ReasonText(
        Status.REFUSED, "no process of this instance runs the component's binary", "list its processes with ps", _NODES
    ),
    Reason.SEVERAL_PROCESSES: ReasonText(
        Status.REFUSED,
        "more than one process of this instance runs the component's binary, so no signal was sent",
        "list its processes with ps, and signal the right one by hand",
        _NODES,
    ),
    Reason.USR1_IGNORED: ReasonText(
        Status.REFUSED, "the process ignores SIGUSR1", "use /debug/pprof/goroutine if profiling is on", _NODES
    ),
    Reason.USR1_NOT_CAUGHT: ReasonText(
        Status.REFUSED,
        "the process does not catch SIGUSR1, so the signal would kill it",
        "check that the process is a Go service",
        _NODES,
    ),
    Reason.STDERR_LOST: ReasonText(
        Status.REFUSED,
        "the dump would be lost, because standard error does not reach a log",
        "unset log_file_prefix or send standard error to a log; or use /debug/pprof if profiling is on",
        _NODES,
    ),
    Reason.PROCESS_CHANGED: ReasonText(
        Status.REFUSED,
        "the process changed between the check and the signal, so no signal was sent",
        "run again",
        _NODES,
    ),
    Reason.PROCESS_STOPPED: ReasonText(
        Status.REFUSED,
        "the process is stopped and cannot write a dump, so no signal was sent",
        "find what stopped it (for a debugger, see TracerPid in /proc/PID/status) or resume it with kill"
        " -CONT; then run again",
        _NODES,
    ),
    Reason.NO_MEMORY_ROOM: ReasonText(
        Status.REFUSED,
        "running the binary to read its version could exceed the container's memory limit",
        "read the version from the image tag or with GET /version",
        _NODES,
    ),
    Reason.NO_RUNTIME_CLI: ReasonText(
        Status.REFUSED,
        "no tool on the node can run a command in the container, and its binary is not run outside of it",
        "install crictl on the node, or read the version from the image tag",
        ("host",),
    ),
    Reason.NO_DUMP: ReasonText(
        Status.FAILED,
        "the signal was sent, but no dump arrived before the deadline",
        "check in its log whether the service listens yet, because it ignores the signal until then; run again",
        _NODES,
    ),
    Reason.NO_VERSION: ReasonText(
        Status.FAILED,
        "the binary did not report its version",
        "read the version from the image tag or with GET /version",
        _NODES,
    ),
    Reason.TIMEOUT: ReasonText(
        Status.FAILED,
        "the deadline passed before the signal was confirmed",
        "check whether its machine, or the way to reach it, hangs",
        _NODES,
    ),
    Reason.FORBIDDEN: ReasonText(
        Status.FAILED, "access was denied", "grant what the message names (see the permissions in the README)"
    ),
    Reason.UNREACHABLE: ReasonText(
        Status.FAILED,
        "the target does not answer",
        "check that it runs and that the network to it works; the host transport needs only the machine itself",
    ),
    Reason.NO_RESULT: ReasonText(
        Status.FAILED,
        "the capture at this access point failed and returned no result",
        "fix what the message names, then run again",
    ),
    Reason.GONE: ReasonText(Status.FAILED, "the instance disappeared during the run", "run again"),
    Reason.LOG_UNAVAILABLE: ReasonText(
        Status.FAILED,
        "the log cannot be read, and no signal is sent without it",
        "try to read the log by hand, also its file on the machine itself",
        _NODES,
    ),
    Reason.EXEC_FAILED: ReasonText(
        Status.FAILED, "a command could not be run in the container", "try kubectl exec on this container", _KUBERNETES
    ),
    Reason.SIGNAL_FAILED: ReasonText(
        Status.FAILED, "the signal could not be sent", "check that the user may signal the process", _NODES
    ),
    Reason.ERROR: ReasonText(Status.FAILED, "an unexpected error occurred", "report it, and include this row"),
    Reason.DISPUTED: ReasonText(
        Status.FAILED,
        "two access points report the same instance, and both results are kept",
        "compare them: either one is not the access point it claims to be, or both reach the same cluster",
    ),
    Reason.INTERRUPTED: ReasonText(Status.FAILED, "the run was interrupted before this ended", "run again"),
    Reason.STOPPED_EARLY: ReasonText(
        Status.PARTIAL, "the run was interrupted, so only what arrived before is here", "run again"
    ),
    Reason.NOT_FOUND: ReasonText(
        Status.FAILED,
        "no instance of a requested component was found here",
        "correct the name, or remove it from the list",
    ),
    Reason.NOT_DEPLOYED: ReasonText(Status.SKIPPED, "this component has no instance here"),
    Reason.CHECK_MODE: ReasonText(Status.SKIPPED, "check mode: nothing was sent"),
    Reason.RUN_DEADLINE: ReasonText(
        Status.SKIPPED, "the deadline of the run passed before this was started", "raise cloudpods_deadline"
    ),
    Reason.DUMP_AWAITED: ReasonText(
        Status.SKIPPED,
        "the previous dump was still awaited when this one was due, so no second signal was sent",
        "see the row of the previous dump",
    ),
    Reason.STACK_NOT_TAKEN: ReasonText(
        Status.SKIPPED, "the version is read together with the stack, and no process was reached for the stack"
    ),
    Reason.NOT_OFFERED: ReasonText(Status.SKIPPED, "this component has no such endpoint, so no request was sent"),
    Reason.NOT_ASKED: ReasonText(
        Status.SKIPPED,
        "no request was sent, so nothing is known about it",
        "see the row of /ping; if /ping was answered, raise cloudpods_timeout",
    ),
    Reason.NO_ENDPOINT: ReasonText(
        Status.FAILED,
        "the service has no such path (404)",
        "check that the port is the service's; an older release may lack the path (process_stats came with 3.9)",
    ),
    Reason.USER_AGENT_REFUSED: ReasonText(
        Status.FAILED,
        "the service refuses the request (403), as it does for a user agent that is not allowed",
        "check default_handlers_whitelist_user_agents in its configuration, and any proxy on the way",
    ),
    Reason.QUEUE_FULL: ReasonText(
        Status.FAILED,
        "the service's own request queue is full (429)",
        "capture its stacks now, because even its internal worker pool does not drain",
    ),
    Reason.PROCESS_TIMEOUT: ReasonText(
        Status.FAILED, "the service gave up on the request after its own time limit (504)", "capture its stacks"
    ),
    Reason.SERVER_ERROR: ReasonText(Status.FAILED, "the service failed to handle the request (5xx)", "read its log"),
    Reason.UNEXPECTED_STATUS: ReasonText(
        Status.FAILED, "the answer has an unexpected HTTP status", "check what listens on that port"
    ),
    Reason.REDIRECTED: ReasonText(
        Status.FAILED,
        "the answer is a redirect (3xx), which was not followed",
        "check what listens on that port; the service itself does not redirect",
    ),
    Reason.NOT_JSON: ReasonText(
        Status.FAILED,
        "the answer is not what this endpoint returns",
        "read the body that was saved, and check what listens there",
    ),
    Reason.BAD_ANSWER: ReasonText(
        Status.FAILED,
        "the API server returned an answer that cannot be used",
        "check what is between here and the API server, such as a proxy or a load balancer",
        _KUBERNETES,
    ),
    Reason.BODY_CUT: ReasonText(
        Status.PARTIAL, "the answer ended before it was complete", "run again; check whether the service restarted"
    ),
    Reason.BODY_TOO_LARGE: ReasonText(
        Status.PARTIAL, "the answer is larger than the limit for one answer", "check what listens on that port"
    ),
    Reason.NO_ANSWER: ReasonText(
        Status.FAILED, "no answer arrived before the deadline", "capture its stacks, because the service may hang"
    ),
    Reason.CONNECTION_REFUSED: ReasonText(
        Status.FAILED,
        "nothing listens on the port",
        "read its log; the service may still be starting, or use another port",
    ),
    Reason.CONNECTION_BROKEN: ReasonText(
        Status.FAILED, "the connection broke before an answer arrived", "run again; read the service's log"
    ),
    Reason.TLS_FAILED: ReasonText(
        Status.FAILED,
        "no TLS connection could be established",
        "check that the port uses TLS (enable_ssl), and check the service's certificate",
    ),
    Reason.NOT_HTTP: ReasonText(
        Status.FAILED, "the server on the port does not speak HTTP", "check what listens on that port"
    ),
    Reason.NO_PORT: ReasonText(
        Status.SKIPPED, "the service's port is not known", "declare the port in its container", _NODES
    ),
    Reason.HTTP_ONLY: ReasonText(
        Status.SKIPPED,
        "this transport reaches only the HTTP port of a service",
        "set cloudpods_transport to kubernetes or host",
        _URLS,
    ),
    Reason.AUTH_FAILED: ReasonText(
        Status.FAILED,
        "Keystone rejected the credentials",
        "check the OS_* variables, or the options of the same meaning; climc uses the same ones",
        ("keystone",),
    ),
    Reason.NO_CATALOG_ENTRY: ReasonText(
        Status.SKIPPED,
        "the Keystone catalog has no URL for this component",
        "check the region and the endpoint type; use another transport for a component without an entry",
        ("keystone",),
    ),
    Reason.NO_CERTIFICATE: ReasonText(
        Status.SKIPPED,
        "no certificate is visible from here",
        "check whether the port uses TLS; the host transport sees the certificates of the instances on its machine",
    ),
    Reason.PROFILE_WHOLE: ReasonText(Status.COMPLETE, "the profile is complete"),
    Reason.PROFILE_EMPTY: ReasonText(Status.COMPLETE, "the profile is complete but empty"),
    Reason.PROFILE_CUT: ReasonText(
        Status.PARTIAL,
        "the end of the profile is missing",
        "use what was saved, or take it again, with fewer seconds if time cut it off",
    ),
    Reason.PROFILE_BAD: ReasonText(
        Status.PARTIAL,
        "the profile is damaged, or it is not what was requested",
        "inspect what was saved, and take it again",
    ),
    Reason.PROFILE_UNPROVEN: ReasonText(
        Status.PARTIAL,
        "the profile is not compressed, so nothing proves that its end is not missing",
        "use it as it is; to have its end checked, save profiles as the service sends them, compressed with gzip",
    ),
    Reason.PROFILE_TOO_LARGE: ReasonText(
        Status.PARTIAL,
        "the profile is too large to be analyzed here",
        "read what was saved with go tool pprof -top FILE, which has no such limit",
    ),
    Reason.NOT_READ_HERE: ReasonText(
        Status.PARTIAL,
        "the gzip stream is complete, but the protobuf was not read on this machine",
        "read it with module profile_analysis on the controller",
    ),
    Reason.PROFILING_OFF: ReasonText(
        Status.FAILED,
        "profiling is off in this service, so it has no /debug/pprof",
        "set enable_app_profiling: true in its configuration file and restart it (as an option in Keystone"
        " it has no effect); until then use capture_stacks, which works without it",
    ),
    Reason.NOT_REGISTERED: ReasonText(
        Status.SKIPPED,
        "this service has only the fixed paths of pprof, not the named profiles",
        "take cpu, trace, symbol, cmdline or index instead",
    ),
    Reason.POOL_SATURATED: ReasonText(
        Status.REFUSED,
        "the service's workers for GET requests are busy, so the request would wait in the queue",
        "capture its stacks, which needs no worker; cloudpods_profile_force sends the request anyway",
    ),
    Reason.POOL_UNKNOWN: ReasonText(
        Status.REFUSED,
        "it is not known whether the service can spare a worker for that long",
        "check why /worker_stats cannot be read; cloudpods_profile_force sends the request anyway",
    ),
}
