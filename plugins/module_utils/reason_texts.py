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
    Reason.PROVEN: ReasonText(Status.COMPLETE, "the counts of all blocks add up to the total that the dump states"),
    Reason.RECORDED: ReasonText(Status.COMPLETE, "read and kept"),
    Reason.LOG_GAP: ReasonText(
        Status.PARTIAL,
        "a part of the log was not seen",
        "see the gaps in log.json; watch again, or on the machine itself",
    ),
    Reason.NOT_REDACTED: ReasonText(
        Status.FAILED,
        "it could not be looked through for secrets, so it was not kept",
        "report it with this row; cloudpods_redact=none keeps it with all that is in it",
    ),
    Reason.SAME_IMAGE: ReasonText(Status.COMPLETE, "read once for this image id; the path names where"),
    Reason.CUT_SHORT: ReasonText(
        Status.PARTIAL, "the deadline passed in the middle of the dump", "raise cloudpods_timeout and run again"
    ),
    Reason.STREAM_ENDED: ReasonText(
        Status.PARTIAL,
        "the log stream ended in the middle of the dump",
        "see whether the service restarted; run again",
    ),
    Reason.DAMAGED: ReasonText(
        Status.PARTIAL, "lines are missing inside the dump", "run again; look for log rotation on its machine"
    ),
    Reason.TOO_LARGE: ReasonText(
        Status.PARTIAL, "the log window grew over cloudpods_max_bytes", "raise cloudpods_max_bytes and run again"
    ),
    Reason.NEVER_DUMPS: ReasonText(Status.REFUSED, "this component does not dump on SIGUSR1"),
    Reason.RELOADS: ReasonText(Status.REFUSED, "SIGUSR1 makes this component reload its configuration"),
    Reason.MAY_DIE: ReasonText(Status.REFUSED, "SIGUSR1 may end this component: it is not a Go service"),
    Reason.PENDING: ReasonText(
        Status.REFUSED, "the pod is not scheduled on a node", "kubectl describe pod says what it waits for", _KUBERNETES
    ),
    Reason.NOT_STARTED: ReasonText(
        Status.REFUSED, "the container has not started", "kubectl describe pod says what it waits for", _KUBERNETES
    ),
    Reason.STUCK_IN_INIT: ReasonText(
        Status.REFUSED,
        "its initialisation has not finished",
        "read its log: it may wait for the database or Keystone",
        _NODES,
    ),
    Reason.CRASH_LOOP: ReasonText(
        Status.REFUSED, "the container crashes again and again", "read the log of the previous container", _KUBERNETES
    ),
    Reason.TERMINATING: ReasonText(
        Status.REFUSED,
        "the pod is being deleted, and its service dumps no more while it shuts down",
        "see what its shutdown waits for in its log",
        _KUBERNETES,
    ),
    Reason.TERMINATED: ReasonText(
        Status.REFUSED, "the container has ended", "kubectl describe pod shows its exit code and reason", _KUBERNETES
    ),
    Reason.NODE_LOST: ReasonText(
        Status.REFUSED, "the node does not report to the cluster", "use the host transport on that node", _KUBERNETES
    ),
    Reason.UNTRUSTED: ReasonText(
        Status.REFUSED,
        "the process looks like the component's, and another user may have made it so",
        "see who started it, and what the links exe and root below /proc/PID show",
        ("host",),
    ),
    Reason.WRONG_CONTAINER: ReasonText(
        Status.REFUSED,
        "no container of the pod is the component's",
        "name the right component, or see the container names with kubectl",
        _KUBERNETES,
    ),
    Reason.NO_SHELL: ReasonText(
        Status.REFUSED,
        "the image has no /bin/sh that runs",
        "use the host transport on the node, or /debug/pprof where it is on",
        _KUBERNETES,
    ),
    Reason.NO_PROCESS: ReasonText(
        Status.REFUSED, "no process there runs the component's binary", "see with ps what runs there", _NODES
    ),
    Reason.SEVERAL_PROCESSES: ReasonText(
        Status.REFUSED,
        "more than one process there runs the component's binary, so none was signalled",
        "see them with ps; signal the right one by hand",
        _NODES,
    ),
    Reason.USR1_IGNORED: ReasonText(
        Status.REFUSED, "the process ignores SIGUSR1", "use /debug/pprof/goroutine where it is on", _NODES
    ),
    Reason.USR1_NOT_CAUGHT: ReasonText(
        Status.REFUSED,
        "the process does not catch SIGUSR1 and would die of it",
        "make sure that it is a Go service",
        _NODES,
    ),
    Reason.STDERR_LOST: ReasonText(
        Status.REFUSED,
        "the dump would go to standard error, and that goes nowhere",
        "unset log_file_prefix (or let standard error go to a log), or use /debug/pprof",
        _NODES,
    ),
    Reason.PROCESS_CHANGED: ReasonText(
        Status.REFUSED, "the process changed between the check and the signal", "run again", _NODES
    ),
    Reason.PROCESS_STOPPED: ReasonText(
        Status.REFUSED,
        "the process is stopped and can write no dump, so no signal was sent",
        "find who stopped it (a debugger: TracerPid in /proc/PID/status) or continue it with kill -CONT; capture again",
        _NODES,
    ),
    Reason.NO_MEMORY_ROOM: ReasonText(
        Status.REFUSED,
        "running the binary for its version might exceed the container's memory limit",
        "the image tag or GET /version tells the version",
        _NODES,
    ),
    Reason.NO_RUNTIME_CLI: ReasonText(
        Status.REFUSED,
        "no tool on the node can run a command inside the container, and its binary is not run outside",
        "install crictl on the node; the image tag tells the version",
        ("host",),
    ),
    Reason.NO_DUMP: ReasonText(
        Status.FAILED,
        "the signal was sent, and no dump came within the deadline",
        "read its log, which tells whether it has come to listen: until then a service ignores the signal; run again",
        _NODES,
    ),
    Reason.NO_VERSION: ReasonText(
        Status.FAILED, "the binary did not tell its version", "the image tag or GET /version tells the version", _NODES
    ),
    Reason.TIMEOUT: ReasonText(
        Status.FAILED,
        "the deadline passed before the signal was known to be sent",
        "its machine, or what gives access to it, may hang; see there",
        _NODES,
    ),
    Reason.FORBIDDEN: ReasonText(
        Status.FAILED,
        "this is forbidden to the user",
        "grant what the message names (README, permissions)",
    ),
    Reason.UNREACHABLE: ReasonText(
        Status.FAILED,
        "the target does not answer",
        "see whether it runs, and what stands in between; the host transport needs nothing but the machine itself",
    ),
    Reason.NO_RESULT: ReasonText(
        Status.FAILED, "the work there failed and left nothing", "mend what the message names"
    ),
    Reason.GONE: ReasonText(Status.FAILED, "the instance disappeared during the run", "run again"),
    Reason.LOG_UNAVAILABLE: ReasonText(
        Status.FAILED,
        "the log cannot be read (and without it no signal is sent)",
        "try to read it by hand, also its file on the machine itself",
        _NODES,
    ),
    Reason.EXEC_FAILED: ReasonText(
        Status.FAILED, "a command could not be run in the container", "see kubectl exec on this container", _KUBERNETES
    ),
    Reason.SIGNAL_FAILED: ReasonText(
        Status.FAILED,
        "the signal could not be sent",
        "see whether the user has the right to signal the process",
        _NODES,
    ),
    Reason.ERROR: ReasonText(Status.FAILED, "an unexpected error", "report it with this row"),
    Reason.DISPUTED: ReasonText(
        Status.FAILED,
        "two access points tell of the same instance, and both are kept",
        "compare them: either one is not what it says it is, or both reach the same cluster",
    ),
    Reason.INTERRUPTED: ReasonText(Status.FAILED, "the run was interrupted before this had ended", "run again"),
    Reason.STOPPED_EARLY: ReasonText(
        Status.PARTIAL, "the run was interrupted, so only what came until then is here", "run again"
    ),
    Reason.NOT_FOUND: ReasonText(
        Status.FAILED, "no instance of a component that was named was found here", "correct its name, or leave it out"
    ),
    Reason.NOT_DEPLOYED: ReasonText(Status.SKIPPED, "no instance of this component exists here"),
    Reason.CHECK_MODE: ReasonText(Status.SKIPPED, "check mode: nothing was sent"),
    Reason.RUN_DEADLINE: ReasonText(
        Status.SKIPPED, "the deadline of the whole run passed before its turn", "raise cloudpods_deadline"
    ),
    Reason.DUMP_AWAITED: ReasonText(
        Status.SKIPPED,
        "the dump before this one was still awaited at its turn, and no second signal was sent meanwhile",
        "see the row of the dump before it",
    ),
    Reason.STACK_NOT_TAKEN: ReasonText(
        Status.SKIPPED, "the version is read together with the stack, and no process was reached for that"
    ),
    Reason.NOT_OFFERED: ReasonText(Status.SKIPPED, "this component has no such endpoint, and was not asked"),
    Reason.NOT_ASKED: ReasonText(
        Status.SKIPPED,
        "not asked, so that nothing is known of it",
        "see the row of /ping; where it was answered, raise cloudpods_timeout",
    ),
    Reason.NO_ENDPOINT: ReasonText(
        Status.FAILED,
        "the service knows no such path (404)",
        "an older release may lack it (process_stats came with 3.9); see whether the port is the service's",
    ),
    Reason.USER_AGENT_REFUSED: ReasonText(
        Status.FAILED,
        "the service refuses the question (403), which it does by the user agent",
        "see default_handlers_whitelist_user_agents in its configuration, and proxies in between",
    ),
    Reason.QUEUE_FULL: ReasonText(
        Status.FAILED,
        "the service's own queue is full (429)",
        "even its internal worker pool does not drain: capture its stacks now",
    ),
    Reason.PROCESS_TIMEOUT: ReasonText(
        Status.FAILED, "the service gave up on the question after its own time limit (504)", "capture its stacks"
    ),
    Reason.SERVER_ERROR: ReasonText(Status.FAILED, "the service failed over the question (5xx)", "read its log"),
    Reason.UNEXPECTED_STATUS: ReasonText(
        Status.FAILED, "the answer has a status that this question should not get", "see what listens on that port"
    ),
    Reason.REDIRECTED: ReasonText(
        Status.FAILED,
        "the answer points elsewhere (3xx), and was not followed",
        "see what listens on that port: a service itself does not redirect",
    ),
    Reason.NOT_JSON: ReasonText(
        Status.FAILED,
        "the answer is not what this endpoint gives",
        "see the body that was kept, and what listens there",
    ),
    Reason.BAD_ANSWER: ReasonText(
        Status.FAILED,
        "the API server gave an answer that cannot be used",
        "see what stands between here and the API server (a proxy, a load balancer)",
        _KUBERNETES,
    ),
    Reason.BODY_CUT: ReasonText(
        Status.PARTIAL, "the answer ended before its end", "run again; see whether the service restarted"
    ),
    Reason.BODY_TOO_LARGE: ReasonText(
        Status.PARTIAL, "the answer is larger than what is read of one", "see what listens on that port"
    ),
    Reason.NO_ANSWER: ReasonText(
        Status.FAILED, "no answer came within the deadline", "the service may hang: capture its stacks"
    ),
    Reason.CONNECTION_REFUSED: ReasonText(
        Status.FAILED,
        "nothing listens on the port",
        "the service may still be starting, or have another port: see its log",
    ),
    Reason.CONNECTION_BROKEN: ReasonText(
        Status.FAILED, "the connection broke before there was an answer", "run again; read the service's log"
    ),
    Reason.TLS_FAILED: ReasonText(
        Status.FAILED,
        "no TLS connection came about",
        "see whether the port speaks TLS (enable_ssl) and the service's certificate",
    ),
    Reason.NOT_HTTP: ReasonText(
        Status.FAILED, "what listens on the port does not speak HTTP", "see what listens on that port"
    ),
    Reason.NO_PORT: ReasonText(
        Status.SKIPPED, "no port is known on which it could be asked", "declare its port in its container", _NODES
    ),
    Reason.HTTP_ONLY: ReasonText(
        Status.SKIPPED,
        "this transport reaches only the HTTP port of a service",
        "use cloudpods_transport kubernetes or host",
        _URLS,
    ),
    Reason.AUTH_FAILED: ReasonText(
        Status.FAILED,
        "Keystone does not accept the credentials",
        "see the OS_* variables, or the options of the same meaning; climc uses the same ones",
        ("keystone",),
    ),
    Reason.NO_CATALOG_ENTRY: ReasonText(
        Status.SKIPPED,
        "Keystone's catalog has no URL for this component",
        "see the region and the endpoint type; components without an entry need another transport",
        ("keystone",),
    ),
    Reason.NO_CERTIFICATE: ReasonText(
        Status.SKIPPED,
        "no certificate can be seen from here",
        "the port may be without TLS; the transport host sees what the instances of its machine show",
    ),
    Reason.PROFILE_WHOLE: ReasonText(Status.COMPLETE, "read to its end, and nothing is missing"),
    Reason.PROFILE_EMPTY: ReasonText(Status.COMPLETE, "read to its end, and there is nothing in it"),
    Reason.PROFILE_CUT: ReasonText(
        Status.PARTIAL,
        "its end is missing",
        "what came is kept; take it again, with fewer seconds where it was cut by time",
    ),
    Reason.PROFILE_BAD: ReasonText(
        Status.PARTIAL, "it is not what was asked for, or damaged", "what came is kept; look into it, and take it again"
    ),
    Reason.PROFILE_UNPROVEN: ReasonText(
        Status.PARTIAL,
        "it is not compressed, so nothing shows whether its end is missing",
        "use it as it is; to have its end proved, keep a profile as the service sends it, compressed with gzip",
    ),
    Reason.PROFILE_TOO_LARGE: ReasonText(
        Status.PARTIAL,
        "it is too large to be looked into here",
        "what came is kept: read it with Go's own tool (go tool pprof -top FILE), which has no such limit",
    ),
    Reason.NOT_READ_HERE: ReasonText(
        Status.PARTIAL,
        "the gzip stream is whole, the protobuf was not read on this machine",
        "module profile_analysis reads it on the controller",
    ),
    Reason.PROFILING_OFF: ReasonText(
        Status.FAILED,
        "profiling is off in this service: it has no /debug/pprof",
        "set enable_app_profiling: true in its configuration file and restart it (as an option in Keystone"
        " it has no effect); meanwhile capture_stacks works without it",
    ),
    Reason.NOT_REGISTERED: ReasonText(
        Status.SKIPPED,
        "this service has only the exact paths of pprof, and no named profiles",
        "cpu, trace, symbol, cmdline and index are what it has",
    ),
    Reason.POOL_SATURATED: ReasonText(
        Status.REFUSED,
        "the service's workers for GET requests are busy, and the question would wait behind the others",
        "capture its stacks, which needs no worker; cloudpods_profile_force asks all the same",
    ),
    Reason.POOL_UNKNOWN: ReasonText(
        Status.REFUSED,
        "it cannot be seen whether the service has a worker to spare for so long",
        "see why /worker_stats cannot be read; cloudpods_profile_force asks all the same",
    ),
}
