# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each reason means, as data.

Pure: nothing here does I/O or knows Ansible, Kubernetes or a transport.
"""

from __future__ import annotations

from .vocabulary import EVERY_TRANSPORT, Meaning, Reason, Status

__all__ = ("EVERY_TRANSPORT", "MEANINGS", "Meaning", "Reason", "Status")

_KUBERNETES = ("kubernetes",)
_NODES = ("kubernetes", "host")
_URLS = ("keystone", "url")

MEANINGS: dict[Reason, Meaning] = {
    Reason.PROVEN: Meaning(Status.COMPLETE, "the counts of all blocks add up to the total that the dump states"),
    Reason.RECORDED: Meaning(Status.COMPLETE, "read and kept"),
    Reason.LOG_GAP: Meaning(
        Status.PARTIAL,
        "a part of the log was not seen",
        "see the gaps in log.json; watch again, or on the machine itself",
    ),
    Reason.NOT_REDACTED: Meaning(
        Status.FAILED,
        "it could not be looked through for secrets, so it was not kept",
        "report it with this row; cloudpods_redact=none keeps it with all that is in it",
    ),
    Reason.SAME_IMAGE: Meaning(Status.COMPLETE, "read once for this image id; the path names where"),
    Reason.CUT_SHORT: Meaning(
        Status.PARTIAL, "the deadline passed in the middle of the dump", "raise cloudpods_timeout and run again"
    ),
    Reason.STREAM_ENDED: Meaning(
        Status.PARTIAL,
        "the log stream ended in the middle of the dump",
        "see whether the service restarted; run again",
    ),
    Reason.DAMAGED: Meaning(
        Status.PARTIAL, "lines are missing inside the dump", "run again; look for log rotation on its machine"
    ),
    Reason.TOO_LARGE: Meaning(
        Status.PARTIAL, "the log window grew over cloudpods_max_bytes", "raise cloudpods_max_bytes and run again"
    ),
    Reason.NEVER_DUMPS: Meaning(Status.REFUSED, "this component does not dump on SIGUSR1"),
    Reason.RELOADS: Meaning(Status.REFUSED, "SIGUSR1 makes this component reload its configuration"),
    Reason.MAY_DIE: Meaning(Status.REFUSED, "SIGUSR1 may end this component: it is not a Go service"),
    Reason.PENDING: Meaning(
        Status.REFUSED, "the pod is not scheduled on a node", "kubectl describe pod says what it waits for", _KUBERNETES
    ),
    Reason.NOT_STARTED: Meaning(
        Status.REFUSED, "the container has not started", "kubectl describe pod says what it waits for", _KUBERNETES
    ),
    Reason.STUCK_IN_INIT: Meaning(
        Status.REFUSED,
        "its initialisation has not finished",
        "read its log: it may wait for the database or Keystone",
        _NODES,
    ),
    Reason.CRASH_LOOP: Meaning(
        Status.REFUSED, "the container crashes again and again", "read the log of the previous container", _KUBERNETES
    ),
    Reason.TERMINATING: Meaning(
        Status.REFUSED,
        "the pod is being deleted, and its service dumps no more while it shuts down",
        "see what its shutdown waits for in its log",
        _KUBERNETES,
    ),
    Reason.TERMINATED: Meaning(
        Status.REFUSED, "the container has ended", "kubectl describe pod shows its exit code and reason", _KUBERNETES
    ),
    Reason.NODE_LOST: Meaning(
        Status.REFUSED, "the node does not report to the cluster", "use the host transport on that node", _KUBERNETES
    ),
    Reason.UNTRUSTED: Meaning(
        Status.REFUSED,
        "the process looks like the component's, and another user may have made it so",
        "see who started it, and what the links exe and root below /proc/PID show",
        ("host",),
    ),
    Reason.WRONG_CONTAINER: Meaning(
        Status.REFUSED,
        "no container of the pod is the component's",
        "name the right component, or see the container names with kubectl",
        _KUBERNETES,
    ),
    Reason.NO_SHELL: Meaning(
        Status.REFUSED,
        "the image has no /bin/sh that runs",
        "use the host transport on the node, or /debug/pprof where it is on",
        _KUBERNETES,
    ),
    Reason.NO_PROCESS: Meaning(
        Status.REFUSED, "no process there runs the component's binary", "see with ps what runs there", _NODES
    ),
    Reason.SEVERAL_PROCESSES: Meaning(
        Status.REFUSED,
        "more than one process there runs the component's binary, so none was signalled",
        "see them with ps; signal the right one by hand",
        _NODES,
    ),
    Reason.USR1_IGNORED: Meaning(
        Status.REFUSED, "the process ignores SIGUSR1", "use /debug/pprof/goroutine where it is on", _NODES
    ),
    Reason.USR1_NOT_CAUGHT: Meaning(
        Status.REFUSED,
        "the process does not catch SIGUSR1 and would die of it",
        "make sure that it is a Go service",
        _NODES,
    ),
    Reason.STDERR_LOST: Meaning(
        Status.REFUSED,
        "the dump would go to standard error, and that goes nowhere",
        "unset log_file_prefix (or let standard error go to a log), or use /debug/pprof",
        _NODES,
    ),
    Reason.PROCESS_CHANGED: Meaning(
        Status.REFUSED, "the process changed between the check and the signal", "run again", _NODES
    ),
    Reason.PROCESS_STOPPED: Meaning(
        Status.REFUSED,
        "the process is stopped and can write no dump, so no signal was sent",
        "find who stopped it (a debugger: TracerPid in /proc/PID/status) or continue it with kill -CONT; capture again",
        _NODES,
    ),
    Reason.NO_MEMORY_ROOM: Meaning(
        Status.REFUSED,
        "running the binary for its version might exceed the container's memory limit",
        "the image tag or GET /version tells the version",
        _NODES,
    ),
    Reason.NO_RUNTIME_CLI: Meaning(
        Status.REFUSED,
        "no tool on the node can run a command inside the container, and its binary is not run outside",
        "install crictl on the node; the image tag tells the version",
        ("host",),
    ),
    Reason.NO_DUMP: Meaning(
        Status.FAILED,
        "the signal was sent, and no dump came within the deadline",
        "read its log, which tells whether it has come to listen: until then a service ignores the signal; run again",
        _NODES,
    ),
    Reason.NO_VERSION: Meaning(
        Status.FAILED, "the binary did not tell its version", "the image tag or GET /version tells the version", _NODES
    ),
    Reason.TIMEOUT: Meaning(
        Status.FAILED,
        "the deadline passed before the signal was known to be sent",
        "its machine, or what gives access to it, may hang; see there",
        _NODES,
    ),
    Reason.FORBIDDEN: Meaning(
        Status.FAILED,
        "this is forbidden to the user",
        "grant what the message names (README, permissions)",
    ),
    Reason.UNREACHABLE: Meaning(
        Status.FAILED,
        "the target does not answer",
        "see whether it runs, and what stands in between; the host transport needs nothing but the machine itself",
    ),
    Reason.NO_RESULT: Meaning(Status.FAILED, "the work there failed and left nothing", "mend what the message names"),
    Reason.GONE: Meaning(Status.FAILED, "the instance disappeared during the run", "run again"),
    Reason.LOG_UNAVAILABLE: Meaning(
        Status.FAILED,
        "the log cannot be read (and without it no signal is sent)",
        "try to read it by hand, also its file on the machine itself",
        _NODES,
    ),
    Reason.EXEC_FAILED: Meaning(
        Status.FAILED, "a command could not be run in the container", "see kubectl exec on this container", _KUBERNETES
    ),
    Reason.SIGNAL_FAILED: Meaning(
        Status.FAILED,
        "the signal could not be sent",
        "see whether the user has the right to signal the process",
        _NODES,
    ),
    Reason.ERROR: Meaning(Status.FAILED, "an unexpected error", "report it with this row"),
    Reason.DISPUTED: Meaning(
        Status.FAILED,
        "two access points tell of the same instance, and both are kept",
        "compare them: either one is not what it says it is, or both reach the same cluster",
    ),
    Reason.INTERRUPTED: Meaning(Status.FAILED, "the run was interrupted before this had ended", "run again"),
    Reason.STOPPED_EARLY: Meaning(
        Status.PARTIAL, "the run was interrupted, so only what came until then is here", "run again"
    ),
    Reason.NOT_FOUND: Meaning(
        Status.FAILED, "no instance of a component that was named was found here", "correct its name, or leave it out"
    ),
    Reason.NOT_DEPLOYED: Meaning(Status.SKIPPED, "no instance of this component exists here"),
    Reason.CHECK_MODE: Meaning(Status.SKIPPED, "check mode: nothing was sent"),
    Reason.RUN_DEADLINE: Meaning(
        Status.SKIPPED, "the deadline of the whole run passed before its turn", "raise cloudpods_deadline"
    ),
    Reason.DUMP_AWAITED: Meaning(
        Status.SKIPPED,
        "the dump before this one was still awaited at its turn, and no second signal was sent meanwhile",
        "see the row of the dump before it",
    ),
    Reason.STACK_NOT_TAKEN: Meaning(
        Status.SKIPPED, "the version is read together with the stack, and no process was reached for that"
    ),
    Reason.NOT_OFFERED: Meaning(Status.SKIPPED, "this component has no such endpoint, and was not asked"),
    Reason.NOT_ASKED: Meaning(
        Status.SKIPPED,
        "not asked, so that nothing is known of it",
        "see the row of /ping; where it was answered, raise cloudpods_timeout",
    ),
    Reason.NO_ENDPOINT: Meaning(
        Status.FAILED,
        "the service knows no such path (404)",
        "an older release may lack it (process_stats came with 3.9); see whether the port is the service's",
    ),
    Reason.USER_AGENT_REFUSED: Meaning(
        Status.FAILED,
        "the service refuses the question (403), which it does by the user agent",
        "see default_handlers_whitelist_user_agents in its configuration, and proxies in between",
    ),
    Reason.QUEUE_FULL: Meaning(
        Status.FAILED,
        "the service's own queue is full (429)",
        "even its internal worker pool does not drain: capture its stacks now",
    ),
    Reason.PROCESS_TIMEOUT: Meaning(
        Status.FAILED, "the service gave up on the question after its own time limit (504)", "capture its stacks"
    ),
    Reason.SERVER_ERROR: Meaning(Status.FAILED, "the service failed over the question (5xx)", "read its log"),
    Reason.UNEXPECTED_STATUS: Meaning(
        Status.FAILED, "the answer has a status that this question should not get", "see what listens on that port"
    ),
    Reason.REDIRECTED: Meaning(
        Status.FAILED,
        "the answer points elsewhere (3xx), and was not followed",
        "see what listens on that port: a service itself does not redirect",
    ),
    Reason.NOT_JSON: Meaning(
        Status.FAILED,
        "the answer is not what this endpoint gives",
        "see the body that was kept, and what listens there",
    ),
    Reason.BAD_ANSWER: Meaning(
        Status.FAILED,
        "the API server gave an answer that cannot be used",
        "see what stands between here and the API server (a proxy, a load balancer)",
        _KUBERNETES,
    ),
    Reason.BODY_CUT: Meaning(
        Status.PARTIAL, "the answer ended before its end", "run again; see whether the service restarted"
    ),
    Reason.BODY_TOO_LARGE: Meaning(
        Status.PARTIAL, "the answer is larger than what is read of one", "see what listens on that port"
    ),
    Reason.NO_ANSWER: Meaning(
        Status.FAILED, "no answer came within the deadline", "the service may hang: capture its stacks"
    ),
    Reason.CONNECTION_REFUSED: Meaning(
        Status.FAILED,
        "nothing listens on the port",
        "the service may still be starting, or have another port: see its log",
    ),
    Reason.CONNECTION_BROKEN: Meaning(
        Status.FAILED, "the connection broke before there was an answer", "run again; read the service's log"
    ),
    Reason.TLS_FAILED: Meaning(
        Status.FAILED,
        "no TLS connection came about",
        "see whether the port speaks TLS (enable_ssl) and the service's certificate",
    ),
    Reason.NOT_HTTP: Meaning(
        Status.FAILED, "what listens on the port does not speak HTTP", "see what listens on that port"
    ),
    Reason.NO_PORT: Meaning(
        Status.SKIPPED, "no port is known on which it could be asked", "declare its port in its container", _NODES
    ),
    Reason.HTTP_ONLY: Meaning(
        Status.SKIPPED,
        "this transport reaches only the HTTP port of a service",
        "use cloudpods_transport kubernetes or host",
        _URLS,
    ),
    Reason.AUTH_FAILED: Meaning(
        Status.FAILED,
        "Keystone does not accept the credentials",
        "see the OS_* variables, or the options of the same meaning; climc uses the same ones",
        ("keystone",),
    ),
    Reason.NO_CATALOG_ENTRY: Meaning(
        Status.SKIPPED,
        "Keystone's catalog has no URL for this component",
        "see the region and the endpoint type; components without an entry need another transport",
        ("keystone",),
    ),
    Reason.NO_CERTIFICATE: Meaning(
        Status.SKIPPED,
        "no certificate can be seen from here",
        "the port may be without TLS; the transport host sees what the instances of its machine show",
    ),
    Reason.PROFILE_WHOLE: Meaning(Status.COMPLETE, "read to its end, and nothing is missing"),
    Reason.PROFILE_EMPTY: Meaning(Status.COMPLETE, "read to its end, and there is nothing in it"),
    Reason.PROFILE_CUT: Meaning(
        Status.PARTIAL,
        "its end is missing",
        "what came is kept; take it again, with fewer seconds where it was cut by time",
    ),
    Reason.PROFILE_BAD: Meaning(
        Status.PARTIAL, "it is not what was asked for, or damaged", "what came is kept; look into it, and take it again"
    ),
    Reason.PROFILE_UNPROVEN: Meaning(
        Status.PARTIAL,
        "it is not compressed, so nothing shows whether its end is missing",
        "use it as it is; to have its end proved, keep a profile as the service sends it, compressed with gzip",
    ),
    Reason.PROFILE_TOO_LARGE: Meaning(
        Status.PARTIAL,
        "it is too large to be looked into here",
        "what came is kept: read it with Go's own tool (go tool pprof -top FILE), which has no such limit",
    ),
    Reason.NOT_READ_HERE: Meaning(
        Status.PARTIAL,
        "the gzip stream is whole, the protobuf was not read on this machine",
        "module profile_analysis reads it on the controller",
    ),
    Reason.PROFILING_OFF: Meaning(
        Status.FAILED,
        "profiling is off in this service: it has no /debug/pprof",
        "set enable_app_profiling: true in its configuration file and restart it (as an option in Keystone"
        " it has no effect); meanwhile capture_stacks works without it",
    ),
    Reason.NOT_REGISTERED: Meaning(
        Status.SKIPPED,
        "this service has only the exact paths of pprof, and no named profiles",
        "cpu, trace, symbol, cmdline and index are what it has",
    ),
    Reason.POOL_SATURATED: Meaning(
        Status.REFUSED,
        "the service's workers for GET requests are busy, and the question would wait behind the others",
        "capture its stacks, which needs no worker; cloudpods_profile_force asks all the same",
    ),
    Reason.POOL_UNKNOWN: Meaning(
        Status.REFUSED,
        "it cannot be seen whether the service has a worker to spare for so long",
        "see why /worker_stats cannot be read; cloudpods_profile_force asks all the same",
    ),
}
