# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words with a fixed meaning: statuses and reasons of captures, states of containers, kinds of gaps.

Data only. The texts of the reasons are in reason_texts.py.
"""

from __future__ import annotations

import enum


class Status(str, enum.Enum):
    """Outcome of a requested capture."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    REFUSED = "refused"
    FAILED = "failed"
    SKIPPED = "skipped"


class Reason(str, enum.Enum):
    """Reason of a status. reason_texts.MEANINGS gives each reason exactly one status."""

    PROVEN = "proven"
    RECORDED = "recorded"
    SAME_IMAGE = "same_image"
    CUT_SHORT = "cut_short"
    STREAM_ENDED = "stream_ended"
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"
    NEVER_DUMPS = "never_dumps"
    RELOADS = "reloads"
    MAY_DIE = "may_die"
    PENDING = "pending"
    NOT_STARTED = "not_started"
    STUCK_IN_INIT = "stuck_in_init"
    CRASH_LOOP = "crash_loop"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    NODE_LOST = "node_lost"
    UNTRUSTED = "untrusted"
    WRONG_CONTAINER = "wrong_container"
    NO_SHELL = "no_shell"
    NO_PROCESS = "no_process"
    SEVERAL_PROCESSES = "several_processes"
    USR1_IGNORED = "usr1_ignored"
    USR1_NOT_CAUGHT = "usr1_not_caught"
    STDERR_LOST = "stderr_lost"
    PROCESS_CHANGED = "process_changed"
    PROCESS_STOPPED = "process_stopped"
    NO_MEMORY_ROOM = "no_memory_room"
    NO_RUNTIME_CLI = "no_runtime_cli"
    NO_DUMP = "no_dump"
    NO_VERSION = "no_version"
    TIMEOUT = "timeout"
    FORBIDDEN = "forbidden"
    UNREACHABLE = "unreachable"
    NO_RESULT = "no_result"
    GONE = "gone"
    LOG_UNAVAILABLE = "log_unavailable"
    EXEC_FAILED = "exec_failed"
    SIGNAL_FAILED = "signal_failed"
    ERROR = "error"
    DISPUTED = "disputed"
    INTERRUPTED = "interrupted"
    STOPPED_EARLY = "stopped_early"
    NOT_FOUND = "not_found"
    NOT_DEPLOYED = "not_deployed"
    CHECK_MODE = "check_mode"
    RUN_DEADLINE = "run_deadline"
    DUMP_AWAITED = "dump_awaited"
    STACK_NOT_TAKEN = "stack_not_taken"
    NOT_OFFERED = "not_offered"
    NOT_ASKED = "not_asked"
    NO_ENDPOINT = "no_endpoint"
    USER_AGENT_REFUSED = "user_agent_refused"
    QUEUE_FULL = "queue_full"
    PROCESS_TIMEOUT = "process_timeout"
    SERVER_ERROR = "server_error"
    UNEXPECTED_STATUS = "unexpected_status"
    REDIRECTED = "redirected"
    NOT_JSON = "not_json"
    BAD_ANSWER = "bad_answer"
    BODY_CUT = "body_cut"
    BODY_TOO_LARGE = "body_too_large"
    NO_ANSWER = "no_answer"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_BROKEN = "connection_broken"
    TLS_FAILED = "tls_failed"
    NOT_HTTP = "not_http"
    NO_PORT = "no_port"
    HTTP_ONLY = "http_only"
    AUTH_FAILED = "auth_failed"
    NO_CATALOG_ENTRY = "no_catalog_entry"
    NO_CERTIFICATE = "no_certificate"
    PROFILE_WHOLE = "profile_whole"
    PROFILE_EMPTY = "profile_empty"
    PROFILE_CUT = "profile_cut"
    PROFILE_BAD = "profile_bad"
    PROFILE_UNPROVEN = "profile_unproven"
    PROFILE_TOO_LARGE = "profile_too_large"
    NOT_READ_HERE = "not_read_here"
    PROFILING_OFF = "profiling_off"
    NOT_REGISTERED = "not_registered"
    POOL_SATURATED = "pool_saturated"
    POOL_UNKNOWN = "pool_unknown"
    LOG_GAP = "log_gap"
    NOT_REDACTED = "not_redacted"


class State(str, enum.Enum):
    """State of an instance's container."""

    RUNNING = "running"
    PENDING = "pending"
    WAITING = "waiting"
    INIT = "init"
    CRASH_LOOP = "crash_loop"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    NO_CONTAINER = "no_container"
    NODE_LOST = "node_lost"
    UNTRUSTED = "untrusted"


# Kinds of gaps in a followed log.
STREAM_LOST, ROTATION_MISSED, SKIPPED, NOT_READABLE = "stream_lost", "rotation_missed", "skipped", "not_readable"
GAPS = (STREAM_LOST, ROTATION_MISSED, SKIPPED, NOT_READABLE)
