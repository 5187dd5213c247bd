# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last look at a process of this machine before it is signalled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, Process
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import ProbeFacts
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.procfs import ProcFs
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.session import (
    HostSession,
    send_usr1,
)
from shapeshifter import shapeshifter
from standins import await_arguments
from versioned import VALUES, versioned

from patience import patience

PROCFS = ProcFs()


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("trap - USR1", Reason.USR1_NOT_CAUGHT),
        ("trap '' USR1", Reason.USR1_IGNORED),
        ("exec {} -c 'read x'", Reason.USR1_NOT_CAUGHT),
    ],
)
def test_does_not_signal_process_that_dropped_its_handler(tmp_path, then, reason):
    with shapeshifter(str(tmp_path / "bin"), then) as shifter:
        seen = PROCFS.process(shifter.pid)
        shifter.shift()
        with pytest.raises(CaptureError) as refused:
            send_usr1(PROCFS, seen)
        assert refused.value.verdict.reason is reason
        assert shifter.alive


def test_signals_process_that_catches(tmp_path):
    with shapeshifter(str(tmp_path / "bin"), ":") as shifter:
        send_usr1(PROCFS, PROCFS.process(shifter.pid))
        assert shifter.alive


# Its version, which nothing has to run for


def session_of(process):
    instance = Instance(cluster="c", component="region", name="r", process=process)
    return HostSession(PROCFS, instance, ProbeFacts((process,)), Deadline(patience()))


@pytest.fixture
def sleeper(tmp_path):
    """A program that bears its version, and can be replaced."""
    program = tmp_path / "region"
    shutil.copy(versioned(), program)
    with subprocess.Popen([str(program)]) as process:
        await_arguments(process)
        yield process, program
        process.kill()


def test_reads_version_from_running_file(sleeper):
    process, _program = sleeper
    seen = PROCFS.process(process.pid)
    assert json.loads(session_of(seen).version_from_file(seen))["gitVersion"] == VALUES["gitVersion"]


def test_reads_version_of_replaced_program(sleeper):
    process, program = sleeper
    other = program.with_name("new")
    other.write_text("#!/bin/sh\n")
    os.replace(other, program)
    seen = PROCFS.process(process.pid)
    assert json.loads(session_of(seen).version_from_file(seen))["gitVersion"] == VALUES["gitVersion"]


def test_reused_pid_has_no_version(sleeper):
    process, _program = sleeper
    earlier = Process(process.pid, PROCFS.start_time(process.pid) - 1)
    with pytest.raises(CaptureError) as gone:
        session_of(earlier).version_from_file(earlier)
    assert gone.value.verdict.reason is Reason.GONE
