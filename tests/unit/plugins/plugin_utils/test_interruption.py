# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Behaviour of a worker of ansible-core without its main process, with real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils import interruption

import collection
from patience import patience, wait_until

# The parent forks a worker, as ansible-core does. That tells its pid, and waits.
WORKER = """
import os, signal, sys, time
sys.path.insert(0, {path!r})
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.interruption import ending_with_parent
if os.fork():
    time.sleep({seconds})
with ending_with_parent():
    print(os.getpid(), flush=True)
    try:
        signal.pause()
    finally:
        print("not ended by a signal", flush=True)
"""


def mask_of(thread: threading.Thread) -> int:
    """Return the mask of signals that a thread blocks."""
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    (mask,) = re.findall(r"^SigBlk:\t([0-9a-f]+)$", status, re.MULTILINE)
    return int(mask, 16)


def test_threads_of_a_worker_block_signals():
    ended = threading.Event()
    threads = [threading.Thread(target=ended.wait, args=(patience(),)) for _number in range(2)]
    with interruption.without_signals():
        threads[0].start()
    threads[1].start()
    try:
        blocked = sum(1 << number - 1 for number in interruption.SIGNALS)
        assert mask_of(threads[0]) & blocked == blocked
        assert mask_of(threads[1]) & blocked == 0
    finally:
        ended.set()


def test_worker_ends_with_its_main_process():
    program = WORKER.format(path=str(collection.link()), seconds=patience(600))
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    # Its end of the pipe is closed when it ends, and by a signal it says nothing.
    said, _errors = parent.communicate(timeout=patience())
    assert said == ""
    wait_until("the end of the worker", lambda: not Path(f"/proc/{worker}/exe").exists())


def test_worker_continues_with_its_main_process(monkeypatch):
    looked = []
    monkeypatch.setattr(os, "getppid", lambda: looked.append(1) or 4711)
    monkeypatch.setattr(os, "kill", lambda *_given: looked.clear())
    with interruption.ending_with_parent(look_seconds=0.01):
        wait_until("some looks", lambda: len(looked) > 10)
