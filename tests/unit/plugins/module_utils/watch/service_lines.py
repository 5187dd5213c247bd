# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines as the services print them, for the tests of log watching."""

from __future__ import annotations

CALLER = "appsrv.(*SWorkerManager).Run(workers.go:266)"
POOL = "HttpGetRequestWorkerManager"
TASK = "GET /servers?limit=1"
# Forms of a line in the log. A leading [X] of the message is moved out of it (yunion.io/x/log).
HEADER_FORMS = {
    "late": "[warning 2026-11-23 00:22:28 {caller}]{message}\n",
    "early": "[warning 261123 00:22:28 {caller}]{message}\n",
    "with a zone": "[warning 2026-11-23 08:22:28 +0800 {caller}]{message}\n",
    "terminal": "\x1b[0;33m[W 2026-11-23 00:22:28 {caller}]\x1b[0m{message}\n",
    "generics": "[warning 2026-11-23 00:22:28 pkg.(*Type[...]).Run(workers.go:266)]{message}\n",
    "inside a dump": "#\t0x453654[warning 2026-11-23 00:22:28 {caller}]{message}\n",
    "after a cell of a dump": "main.(*T).f+0x1a\t\t[warning 2026-11-23 00:22:28 {caller}]{message}\n",
    "after a head of a dump": "12 @ 0x43a 0x43b[warning 2026-11-23 00:22:28 {caller}]{message}\n",
}
# (pattern, message after the header, groups)
MESSAGES = [
    ("queue_full", f"{POOL}: queue full, task dropped", {"pool": POOL}),
    ("queue_full", f"\x1b[0;36m{POOL}:\x1b[0m queue full, task dropped", {"pool": POOL}),
    ("queue_full", f" [{POOL}] queue full, task dropped", {"pool": POOL}),
    ("queue_full", "(X)sync_worker: queue full, task dropped", {"pool": "(X)sync_worker"}),
    ("queue_full", " queue full, task dropped", {}),
    (
        "busy",
        f"{POOL}: BUSY activeWork 8 detachedWork 1 max 9 queue: 12",
        {"pool": POOL, "active": "8", "detached": "1", "max": "9", "queue": "12"},
    ),
    (
        "stucking",
        f" work [2026-11-23 00:22:28.1 +0000 UTC m=+5.1]{TASK} stucking for a while",
        {"since": "2026-11-23 00:22:28.1 +0000 UTC m=+5.1", "task": TASK},
    ),
    ("busy_cycles", f" WorkerManager {POOL} has been busy for 1923 cycles...", {"pool": POOL, "cycles": "1923"}),
    (
        "detached",
        f" detach worker #7(0xc0001, detach) {TASK}({TASK}) due to reason timeout after 59.9s",
        {"task": f"#7(0xc0001, detach) {TASK}({TASK})", "reason": "timeout", "after": "59.9s"},
    ),
    ("detached", " detach worker #7(0xc0001, detach) due to reason timeout",
     {"task": "#7(0xc0001, detach)", "reason": "timeout"}),
    ("request_queue_full", ' Send error {"class":"TooManyRequestsError","details":"Request queue is full"}', {}),
    ("process_timeout", " Send error request process timeout", {}),
    ("handler_panic", " WorkerManager exec callback error: runtime error", {}),
    ("queue_hook", " queueEmptyHook fail x", {}),
    ("task_panic", " Task GuestCreateTask PANIC on stage on_init: nil ", {}),
    ("task_stage_lost", " model server 1(2) not found??? ...", {}),
    ("local_task", " LocalTaskRun error: x", {}),
    ("delayed_task", " DelayTask panic: x", {}),
    ("cron_panic", " CronJob task Sync run error: x", {}),
    ("schema_not_in_sync", " database schema not in sync!", {}),
    ("db_connection", " exec sql error select 1: Error 1040: Too many connections", {}),
    ("db_lock", " Error 1213: Deadlock found when trying to get lock; try restarting transaction", {}),
    ("etcd_lease", " etcd keepalive failed", {}),
    ("etcd_watch", "etcd: GetServiceURL fail x, retry after 3 seconds", {}),
    ("lock_misuse", "!!!WARNING!!!: lock context of Background!", {}),
    ("cancel_queue_full", " ReloadCancelQueue is full, dropping task: resType=x", {}),
    ("host_init", " Host instance init error: x, wait 3 minutes to retry", {}),
    ("host_ping", " host ping failed x", {}),
    ("esxi_disks", " Waiting for esxi disks 3 disconnect !!!", {}),
    ("cannot_listen", " ListAndServer fail: x (cert= key=)", {}),
    ("started", " Start listen on https://0.0.0.0:30888", {}),
    ("planned_exit", " System is idle, no worker is busy, exitFlag is set, to exit ...", {}),
    ("user_agent", " Forbidden default handler request: /ping allow: x", {}),
]  # fmt: skip


def line(second: float, message: str, level: str = "warning", timestamped: bool = True) -> bytes:
    """Return a line written at a second (below 3600) after 2026-11-23T00:00:00Z."""
    minute, rest = divmod(second, 60)
    whole, fraction = divmod(round(rest * 1e9), 10**9)
    clock = f"00:{int(minute):02d}:{whole:02d}"
    stamp = f"2026-11-23T{clock}.{fraction:09d}Z " if timestamped else ""
    return f"{stamp}[{level} 2026-11-23 {clock} {CALLER}]{message}\n".encode()


def dropped(second: float, pool: str = POOL) -> bytes:
    return line(second, f"{pool}: queue full, task dropped")


def busy_for(second: float, cycles: int, pool: str = POOL) -> bytes:
    return line(second, f" WorkerManager {pool} has been busy for {cycles} cycles...")


def stucking(second: float, since: float, task: str = TASK) -> bytes:
    """Return the line about the oldest task, which began at second `since`."""
    minute, rest = divmod(since, 60)
    start = f"2026-11-23 00:{int(minute):02d}:{rest:09.6f} +0000 UTC m=+{since + 0.5}"
    return line(second, f" work [{start}]{task} stucking for a while")


def waiting(second: float, queue: int, pool: str = POOL) -> bytes:
    return line(second, f"{pool}: BUSY activeWork 8 detachedWork 0 max 8 queue: {queue}")


def detached(second: float, number: int) -> bytes:
    said = f" detach worker #{number}(0xc000{number:06x}, detach) {TASK}({TASK}) due to reason timeout after 1m0.01s"
    return line(second, said)


def access(second: float, url: str = "/servers") -> bytes:
    caller = "appsrv.(*Application).ServeHTTP(appsrv.go:402)"
    said = f" aBcD 200 f3a2 GET {url} (10.40.1.7:54321:region) 12.34ms"
    return line(second, said, "info").replace(CALLER.encode(), caller.encode())


def growing(first: int, last: int, step: float = 30) -> list[bytes]:
    """Return the watchdog's lines of consecutive rounds."""
    return [busy_for(step * (number - first), number) for number in range(first, last + 1)]
