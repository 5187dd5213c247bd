# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The counts of a run, and the file that keeps up with them."""

from __future__ import annotations

import json
import threading

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import FILE_VARIABLE, Progress, shown

from patience import patience, wait_until


@pytest.fixture
def path(tmp_path, monkeypatch):
    path = tmp_path / "progress.json"
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    return path


def until(path, wanted):
    """Wait until the file says this."""
    wait_until(f"a file that says {wanted}", lambda: path.exists() and json.loads(path.read_bytes()) == wanted)


def test_writes_counts_to_a_private_file(path):
    progress = Progress()
    with shown(progress, 600, interval=0.01):
        progress.report(streams=12, lines=3)
        until(path, {"seconds": 600, "counts": {"streams": 12, "lines": 3}})
        progress.report(lines=7, dumps=(1, 4))
        until(path, {"seconds": 600, "counts": {"streams": 12, "lines": 7, "dumps": [1, 4]}})
        assert path.stat().st_mode & 0o777 == 0o600


def test_counts_work_that_raises():
    progress = Progress()
    progress.expect("dumps", 2)
    progress.expect("dumps", 1)
    assert progress.counts() == {"dumps": (0, 3)}
    done = []
    progress.counting("dumps", done.append)("one")
    with pytest.raises(ZeroDivisionError):
        progress.counting("dumps", lambda number: number / 0)(2)
    assert (done, progress.counts()) == (["one"], {"dumps": (2, 3)})


def test_counts_steps_of_many_threads():
    progress = Progress()
    threads = [threading.Thread(target=lambda: [progress.step("dumps") for _time in range(2000)]) for _time in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert progress.counts() == {"dumps": (16000, 0)}


def test_plain_count_has_no_steps():
    progress = Progress()
    progress.report(lines=3)
    with pytest.raises(ValueError, match="lines"):
        progress.step("lines")


def test_writes_nothing_without_the_variable(monkeypatch):
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    threads = threading.active_count()
    with shown(Progress(), 600):
        assert threading.active_count() == threads


def test_ignores_a_file_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "missing" / "progress.json"))
    progress = Progress()
    before = set(threading.enumerate())
    with shown(progress, 600, interval=0.01):
        for thread in set(threading.enumerate()) - before:
            thread.join(patience())
        progress.report(lines=1)
        assert set(threading.enumerate()) <= before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("path")
def test_writer_ends_with_the_block():
    before = set(threading.enumerate())
    with shown(Progress(), 600):
        (writer,) = set(threading.enumerate()) - before
    writer.join(patience())
    assert not writer.is_alive()
