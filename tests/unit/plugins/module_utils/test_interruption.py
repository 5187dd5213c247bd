# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interruptions of real processes: signals, and the end of the process that waits for the result."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.interruption import interruptible

import collection
from patience import patience

HEAD = """
import os, signal, sys, threading, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, under which the tests may run, has it ignored
sys.path.insert(0, {path!r})
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.interruption import *
deadline = Deadline({seconds})
def ready():
    os.write(2, b"ready\\n")
"""
WAITS = """
with interruptible(deadline) as interruption:
    ready()
    deadline.wait({seconds})
os.write(2, f"{{interruption.cause}}, {{deadline.expired}}".encode())
"""


def start(text: str) -> subprocess.Popen[bytes]:
    """Start a Python that runs this text; return when it says that it is ready."""
    known = {"path": str(collection.link()), "seconds": patience(600)}
    program = (HEAD + textwrap.dedent(text)).format(**known)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stderr.readline() == b"ready\n"
    return process


def said(process: subprocess.Popen[bytes]) -> str:
    """What a process says until it ends, on standard error."""
    try:
        _output, errors = process.communicate(timeout=patience())
    finally:
        process.kill()
    return errors.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_cancels_the_deadline(number):
    process = start(WAITS)
    process.send_signal(number)
    assert said(process) == f"{number.name}, True"
    assert process.returncode == 0


def test_end_of_the_reader_is_an_interruption():
    process = start(WAITS)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert said(process) == "the end of the process that waited for the result, True"


def test_sees_a_signal_to_another_thread():
    """The kernel may choose any thread, and does so when two signals come at once to a busy machine."""
    process = start(
        """
        parked = threading.Thread(target=time.sleep, args=({seconds},), daemon=True)
        parked.start()
        with interruptible(deadline) as interruption:
            threading.Timer(0.0, signal.pthread_kill, (parked.ident, signal.SIGTERM)).start()
            ready()
            deadline.wait({seconds})
        os.write(2, interruption.cause.encode())
        """
    )
    assert said(process) == "SIGTERM"


def test_abandons_work_after_the_grace():
    process = start(
        """
        try:
            with interruptible(deadline, grace=0.1) as interruption:
                ready()
                threading.Lock().acquire() and threading.Event().wait()
        except Interrupted as late:
            os.write(2, f"{{late}} of {{interruption.cause}}".encode())
        """
    )
    process.terminate()
    assert said(process) == "SIGTERM of SIGTERM"


def test_ignores_sighup_under_nohup():
    process = start(
        """
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with interruptible(deadline) as interruption:
            ready()
            deadline.wait({seconds})
        os.write(2, interruption.cause.encode())
        """
    )
    process.send_signal(signal.SIGHUP)
    process.terminate()
    assert said(process) == "SIGTERM"


def test_ends_child_processes():
    process = start(
        """
        import subprocess
        program = subprocess.Popen(["sleep", "{seconds}"], start_new_session=True)
        end_children()
        ready()
        os.write(2, str(program.wait()).encode())
        """
    )
    assert said(process) == str(-signal.SIGTERM)


def test_restores_signal_handlers():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    read_end, write_end = os.pipe()
    with interruptible(Deadline(patience()), result=write_end) as interruption:
        assert select.select([], [write_end], [], patience())[1]
    assert interruption.cause == ""
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert signal.set_wakeup_fd(-1) == -1
    os.close(read_end)
    os.close(write_end)
