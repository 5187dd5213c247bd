# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log messages of Cloudpods services that indicate trouble, as data. docs/log-patterns.md is generated from it.

Source: the log calls of cloudpods (pkg/appsrv, pkg/cloudcommon, pkg/hostman, pkg/scheduler), of yunion.io/x/sqlchemy,
and of the MySQL driver. The first three patterns come from the Cloudpods documentation on call stacks.
A message that starts with "[X]" is logged as "X: …", so texts leave out the "[X]".
"""

from __future__ import annotations

from dataclasses import dataclass

CRITICAL, WARNING, INFO = "critical", "warning", "info"


@dataclass(frozen=True)
class LogPattern:
    """One kind of log message.

    texts: the message contains one of them literally. severity: of a single match. meaning: for people.
    form: regular expression for the beginning of the message, if the texts alone may be quoted in other messages. Its
    group "pool" is the worker pool in the message; watch/pools.py reads the other groups.
    level: the lowest level of the message; at a lower level it is a quotation.
    bare: it also occurs in lines without the log's header, or in a later line of a message.
    after: the number of lines after it that belong to its context.
    unheaded: it only occurs in lines without the log's header, as the Go runtime prints them.
    at_level: every line of this level matches; texts are then the beginnings of such a line's header.
    ends_process: the process has ended with this message.
    """

    id: str
    texts: tuple[str, ...]
    severity: str
    meaning: str
    form: str = ""
    level: str = "warning"
    bare: bool = False
    after: int = 2
    unheaded: bool = False
    at_level: str = ""
    ends_process: bool = False


_NAME = r"\[?(?P<pool>[^\]:\s]{1,100})\]?:? "
STACK_LINES = 24  # lines of a panic's stack trace that include its location

LOG_PATTERNS = (
    LogPattern(
        "queue_full",
        ("queue full, task dropped",),
        CRITICAL,
        "a worker pool's queue is full: tasks are lost, clients get 429",
        # Old releases do not name the pool.
        f"(?:{_NAME})?queue full, task dropped",
    ),
    LogPattern(
        "stucking",
        (" stucking for a while",),
        CRITICAL,
        "more than 50 tasks wait; the message names the oldest running task",
        r"work \[(?P<since>[^\]\n]{0,80})\](?P<task>.*?) stucking for a while",
    ),
    LogPattern(
        "busy_cycles",
        (" has been busy for ",),
        INFO,
        "a worker pool has not been idle for this many rounds of 30 s; trouble if the number keeps growing",
        r"WorkerManager (?P<pool>\S{1,100}) has been busy for (?P<cycles>\d{1,9}) cycles",
    ),
    LogPattern(
        "busy",
        ("BUSY activeWork ",),
        WARNING,
        "no worker of a pool is free, and more than 10 tasks wait",
        _NAME
        + r"BUSY activeWork (?P<active>\d{1,9}) detachedWork (?P<detached>\d{1,9})"
        + r" max (?P<max>\d{1,9}) queue: (?P<queue>\d{1,9})",
    ),
    LogPattern(
        "detached",
        ("detach worker ",),
        WARNING,
        "a request ran into the process timeout; its goroutine still runs outside of the pool",
        # The worker is "#12(0xc000123456, detach) GET /servers"; the task follows again in brackets.
        r"detach worker (?P<task>.{1,2000}?) due to reason (?P<reason>\S{1,100})(?: after (?P<after>\S{1,40}))?",
    ),
    LogPattern("request_queue_full", ("Request queue is full",), CRITICAL, "a client got 429, too many requests"),
    LogPattern("process_timeout", ("request process timeout",), WARNING, "a client got 504, timeout"),
    LogPattern(
        "handler_panic",
        ("WorkerManager exec callback error",),
        CRITICAL,
        "a handler or pool task panicked",
        after=STACK_LINES,
    ),
    LogPattern("queue_hook", ("queueInitHook fail", "queueEmptyHook fail"), WARNING, "a worker pool's hook failed"),
    LogPattern("task_panic", (" PANIC on stage ",), CRITICAL, "an asynchronous task panicked", after=STACK_LINES),
    LogPattern("task_stage_lost", ("not found??? ...",), WARNING, "an asynchronous task or its object is gone"),
    LogPattern("local_task", ("LocalTaskRun error: ",), CRITICAL, "a local task panicked", after=STACK_LINES),
    LogPattern(
        "delayed_task",
        ("DelayTask panic: ", "DelayTaskWithoutReqctx panic: "),
        CRITICAL,
        "a delayed task panicked",
        after=STACK_LINES,
    ),
    LogPattern(
        "cron_panic",
        ("CronJob task ",),
        CRITICAL,
        "a cron job failed with a panic",
        "CronJob task .{1,200}? run error: ",
        after=STACK_LINES,
    ),
    LogPattern("schema_not_in_sync", ("database schema not in sync",), CRITICAL, "the database has an older schema"),
    LogPattern(
        "db_connection",
        ("invalid connection", "bad connection", "Too many connections"),
        CRITICAL,
        "connections to the database break, or it accepts no more",
        bare=True,
    ),
    LogPattern(
        "db_lock",
        ("Lock wait timeout exceeded", "Deadlock found when trying to get lock"),
        CRITICAL,
        "the database gave up waiting for a lock",
        bare=True,
    ),
    LogPattern(
        "etcd_lease",
        ("etcd keepalive failed", "fail to keepalive session", "restart etcd session error"),
        CRITICAL,
        "the session with etcd broke",
    ),
    LogPattern(
        "etcd_watch",
        ("GetServiceURL fail", "watching resource errror"),
        WARNING,
        "the informer cannot watch",
    ),
    LogPattern(
        "lock_misuse",
        ("BUG: unlock an non-existent lock", "lock context of Background!", "lock context of TODO!"),
        WARNING,
        "a lock is used wrongly",
    ),
    LogPattern("cancel_queue_full", ("ReloadCancelQueue is full",), WARNING, "the scheduler drops tasks"),
    LogPattern("host_init", ("Host instance init error",), CRITICAL, "the host agent cannot start"),
    LogPattern(
        "host_ping", ("host ping failed", "host seemd removed from region"), CRITICAL, "region does not know this host"
    ),
    LogPattern(
        "esxi_disks", ("Waiting for esxi disks",), WARNING, "the wait for ESXi disks to disconnect does not end"
    ),
    LogPattern("cannot_listen", ("ListAndServer fail",), CRITICAL, "the port or the certificate cannot be used"),
    LogPattern(
        "runtime_fatal",
        ("fatal error: ", "SIGSEGV: ", "SIGABRT: ", "SIGBUS: "),
        CRITICAL,
        "the Go runtime ended the process",
        # The signals are those of threads that run no Go code (runtime/signal_unix.go).
        "fatal error: |SIG(?:SEGV|ABRT|BUS): ",
        bare=True,
        after=STACK_LINES,
        unheaded=True,
        ends_process=True,
    ),
    LogPattern(
        "runtime_panic",
        ("panic: ",),
        CRITICAL,
        "the process crashed with an unrecovered panic",
        # A panic that was recovered and raised again is printed first, with "[recovered]" behind it (runtime/panic.go).
        "panic: ",
        bare=True,
        after=STACK_LINES,
        unheaded=True,
        ends_process=True,
    ),
    LogPattern(
        "service_fatal",
        ("[fatal 2", "[F 2"),
        CRITICAL,
        "the service ended itself",
        # The planned exit after a change of options has this level, too (pkg/appsrv/workers_watchdog.go).
        "(?!System is idle, no worker is busy, exitFlag is set)",
        at_level="fatal",
        ends_process=True,
    ),
    LogPattern(
        "started",
        ("Start listen on ",),
        INFO,
        "the process started and began to answer",
        "Start listen on ",
        level="info",
    ),
    LogPattern(
        "planned_exit",
        ("exitFlag is set, to exit", "going to restart the program"),
        INFO,
        "a planned restart after a change of options",
        level="info",
    ),
    LogPattern(
        "user_agent",
        ("Forbidden default handler request",),
        INFO,
        "a status request came with a user agent that is not allowed",
    ),
)
