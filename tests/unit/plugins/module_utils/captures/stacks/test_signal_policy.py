# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may be signalled: one table of facts and decisions."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks.signal_policy import (
    VERSION_MEMORY_BYTES,
    choose_process,
    memory_allows_version,
    refuse_early,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import (
    COMPONENTS,
    DUMPS,
    MAY_DIE,
    NEVER,
    RELOADS,
    UNKNOWN,
    component_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, Process
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import ProbeFacts
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State

USR1 = 1 << 9
GOOD = Process(7, 700, "/opt/yunion/bin/host", same_container=True, same_by="cgroup", caught=USR1, stderr="pipe:[1]")
ELSEWHERE = dataclasses.replace(GOOD, pid=8, same_container=False, same_by="")


def good(**fields) -> ProbeFacts:
    return ProbeFacts((dataclasses.replace(GOOD, **fields),))


ALLOWED = {
    "the one": ProbeFacts((GOOD,)),
    "it also is PID 1": good(pid=1),
    "others of the same name in other containers": ProbeFacts((ELSEWHERE, GOOD, ELSEWHERE)),
    "others that only call themselves so": ProbeFacts((GOOD,), impostors=(9, 10)),
    "a socket": good(stderr="socket:[5]"),
    "a terminal": good(stderr="/dev/pts/0"),
    "unknown standard error": good(stderr=""),
    "in uninterruptible sleep": good(state="D", waits_in="nfs_wait_bit_killable"),
    "a zombie of the name beside it": ProbeFacts((GOOD, dataclasses.replace(GOOD, pid=9, state="Z")), zombies=(10,)),
    "it catches and blocks much else": good(caught=0xFFFFFFFF, ignored=1 << 12),
}


@pytest.mark.parametrize("facts", ALLOWED.values(), ids=ALLOWED)
def test_allows_exactly_one_process_of_the_container(facts):
    chosen = choose_process(facts, follows_files=False)
    assert (chosen.same_container, chosen.executable) == (True, GOOD.executable)


# facts -> reason, words of the message
REFUSED = {
    "nobody": (ProbeFacts(), Reason.NO_PROCESS, "No process of this instance runs"),
    "only elsewhere": (ProbeFacts((ELSEWHERE, ELSEWHERE)), Reason.NO_PROCESS, "2 in other containers"),
    "only impostors": (ProbeFacts((), (9, 10)), Reason.NO_PROCESS, "process 9, 10 has the name but runs another file"),
    "two": (ProbeFacts((GOOD, dataclasses.replace(GOOD, pid=9))), Reason.SEVERAL_PROCESSES, "pids 7, 9"),
    "a zombie": (good(state="Z"), Reason.NO_PROCESS, "process 7 has the name and is a zombie"),
    "zombies": (ProbeFacts(zombies=(8, 9)), Reason.NO_PROCESS, "process 8, 9 has the name and is a zombie"),
    "stopped": (good(state="T"), Reason.PROCESS_STOPPED, "process 7, /opt/yunion/bin/host, is stopped (SIGSTOP)"),
    "stopped, whatever it catches": (good(state="T", caught=0), Reason.PROCESS_STOPPED, "stopped"),
    "under a debugger": (good(state="t"), Reason.PROCESS_STOPPED, "is stopped by a debugger"),
    "ignores": (good(ignored=USR1), Reason.USR1_IGNORED, "process 7"),
    "catches nothing": (good(caught=0), Reason.USR1_NOT_CAUGHT, "process 7, /opt/yunion/bin/host"),
    "catches the signals beside it": (good(caught=USR1 << 1 | USR1 >> 1), Reason.USR1_NOT_CAUGHT, "process 7"),
    "logs to files": (good(log_file="option --log-file-prefix"), Reason.STDERR_LOST, "--log-file-prefix"),
    "to nowhere": (good(stderr="/dev/null"), Reason.STDERR_LOST, "/dev/null"),
    "to a deleted file": (good(stderr="/var/err (deleted)"), Reason.STDERR_LOST, "(deleted)"),
    "to a file out of reach": (good(stderr="/var/err"), Reason.STDERR_LOST, "/var/err"),
}


@pytest.mark.parametrize(("facts", "reason", "words"), REFUSED.values(), ids=REFUSED)
def test_refuses_any_other_process(facts, reason, words):
    with pytest.raises(CaptureError) as refused:
        choose_process(facts, follows_files=False)
    assert refused.value.verdict.reason is reason
    assert words in refused.value.verdict.message


def test_allows_standard_error_to_a_file_that_is_followed():
    assert choose_process(good(stderr="/var/log/host.err"), follows_files=True).pid == GOOD.pid
    for lost in ("/dev/null", "/var/log/host.err (deleted)"):
        with pytest.raises(CaptureError):
            choose_process(good(stderr=lost), follows_files=True)


BY_NATURE = {DUMPS: None, UNKNOWN: None, NEVER: Reason.NEVER_DUMPS, RELOADS: Reason.RELOADS, MAY_DIE: Reason.MAY_DIE}


@pytest.mark.parametrize("component", [*COMPONENTS.values(), component_of("newone")], ids=lambda one: one.name)
def test_component_decides_before_state(component):
    refused = refuse_early(component, Instance("c", component.name, "pod"))
    reason = BY_NATURE[component.usr1]
    assert (refused.verdict.reason if refused else None) is reason
    if reason:
        assert f"use instead: {component.instead}" in refused.verdict.message


@pytest.mark.parametrize("state", State)
def test_refuses_instances_that_do_not_run(state):
    refused = refuse_early(COMPONENTS["region"], Instance("c", "region", "pod", state=state, state_detail="so it is"))
    if state is State.RUNNING:
        assert refused is None
    else:
        assert "so it is" in refused.verdict.message


@pytest.mark.parametrize(
    ("room", "allowed"),
    [(None, True), (0, False), (VERSION_MEMORY_BYTES - 1, False), (VERSION_MEMORY_BYTES, True), (1 << 40, True)],
)
def test_version_needs_free_memory(room, allowed):
    assert memory_allows_version(ProbeFacts((GOOD,), memory_room=room)) is allowed
