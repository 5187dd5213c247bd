# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs are run with bounded output and time, and none is left behind."""

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Process
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.procfs import ProcFs
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.programs import (
    ENVIRONMENT,
    ERROR_KEPT,
    OUTPUT_BYTES,
    RUNTIME_TOOLS,
    find_program,
    own_version,
    run_bounded,
    version_inside,
)

from patience import patience


def run(script: str, seconds: float = 0.0):
    return run_bounded(["/bin/sh", "-c", script], Deadline(seconds or patience(), "test"))


def test_returns_exit_code_and_both_outputs():
    ran = run("echo out; echo err >&2; exit 3")
    assert (ran.code, ran.output, ran.errors) == (3, b"out\n", b"err\n")


def test_runs_in_a_clean_environment(monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    ran = run("env; pwd")
    assert b"hunter2" not in ran.output
    assert ran.output.endswith(b"/\n")
    assert f"PATH={ENVIRONMENT['PATH']}".encode() in ran.output


def test_stops_program_with_too_much_output():
    ran = run("exec cat /dev/zero")
    assert (ran.code, len(ran.output)) == (None, OUTPUT_BYTES)


def test_bounds_error_output():
    assert len(run("head -c 100000 /dev/zero >&2").errors) == ERROR_KEPT


def test_deadline_stops_program(tmp_path):
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        run(f"echo $$ > {tmp_path}/pid; exec sleep 600", 0.5)
    assert time.monotonic() - begun < patience(30)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_finds_programs_outside_of_path(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert find_program("sh") in ("/usr/bin/sh", "/bin/sh")
    assert find_program("no-such-program") is None


def test_tool_command_has_socket_container_and_timeout():
    assert RUNTIME_TOOLS[0].command("/usr/bin/crictl", "c0ffee", "unique", 7) == [
        "/usr/bin/crictl", "--runtime-endpoint", "unix:///run/containerd/containerd.sock", "exec", "--sync",
        "--timeout", "7", "c0ffee",
    ]  # fmt: skip


def test_no_tool_for_the_container(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(os.path, "exists", lambda _path: False)
    with pytest.raises(CaptureError) as refused:
        version_inside(Process(1, 1, "/opt/yunion/bin/region"), "c0ffee", "unique", Deadline(patience(), "test"))
    assert refused.value.verdict.reason is Reason.NO_RUNTIME_CLI


def test_replaced_program_is_not_run():
    process = Process(os.getpid(), 1, "/bin/sh")
    with pytest.raises(CaptureError, match="no longer the file") as refused:
        own_version(ProcFs(), process, Deadline(patience(), "test"))
    assert refused.value.verdict.reason is Reason.NO_VERSION
