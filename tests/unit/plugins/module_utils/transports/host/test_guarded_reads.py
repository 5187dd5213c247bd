# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process whose memory is locked does not block its readers."""

from __future__ import annotations

import contextlib
import os
import threading

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.procfs import (
    ProcFs,
)

from patience import wait_until


@pytest.fixture
def hanging(tmp_path):
    """A /proc of one process whose command line blocks every reader until it is written."""
    folder = tmp_path / "7"
    folder.mkdir()
    (folder / "exe").symlink_to("/opt/yunion/bin/region")
    for name in ("cmdline", "environ"):
        os.mkfifo(folder / name)
    procfs = ProcFs(str(tmp_path), read_timeout=0.2)
    yield procfs, folder
    for name in ("cmdline", "environ"):
        with contextlib.suppress(OSError):  # nobody reads it
            os.close(os.open(folder / name, os.O_WRONLY | os.O_NONBLOCK))


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "guarded-read"]


def test_locked_memory_does_not_block_readers(hanging):
    procfs, _folder = hanging
    assert procfs.runs(7, ["/opt/yunion/bin/region"]) == "/opt/yunion/bin/region"
    assert procfs.runs(7, ["/opt/yunion/bin/glance"]) is None
    assert procfs.arguments_in_time(7) == []
    with pytest.raises(TimeoutError, match="cmdline hangs"):
        procfs.arguments(7)
    with pytest.raises(TimeoutError, match="environ hangs"):
        procfs.variable(7, "JOURNAL_STREAM")


def test_abandons_one_thread_per_hanging_file_and_recovers(hanging):
    procfs, folder = hanging
    before = len(readers())
    for _attempt in range(5):
        assert procfs.arguments_in_time(7) == []
    assert len(readers()) <= before + 1
    with open(folder / "cmdline", "wb") as pipe:
        pipe.write(b"late\0")
    wait_until("the end of the read", lambda: not procfs._guarded._hanging)
    os.unlink(folder / "cmdline")
    (folder / "cmdline").write_bytes(b"region\0--config\0/a\0")
    assert procfs.arguments(7) == ["region", "--config", "/a"]
