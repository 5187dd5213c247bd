# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open regular files only, without waiting, and read a limited amount."""

from __future__ import annotations

import io
import os

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.regular_file import open_regular, read_at_most


def test_opens_regular_file(tmp_path):
    (tmp_path / "a").write_bytes(b"text")
    with open_regular(str(tmp_path / "a")) as file:
        assert file.read() == b"text"


def test_rejects_fifo_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        open_regular(str(tmp_path / "pipe"))


@pytest.mark.parametrize(("path", "error"), [("/x\0y", ValueError), ("/nowhere/none", OSError)])
def test_rejects_unusable_path(path, error):
    with pytest.raises(error):
        open_regular(path)


def test_rejects_folder(tmp_path):
    with pytest.raises(ValueError, match="not a regular file"):
        open_regular(str(tmp_path))


def test_closes_descriptor_of_rejected_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd"))
    for _attempt in range(3):
        with pytest.raises(ValueError, match="regular"):
            open_regular(str(tmp_path / "pipe"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_reads_up_to_the_limit():
    assert read_at_most(io.BytesIO(b"12345"), 5, "the map") == b"12345"
    with pytest.raises(ValueError, match="the map is larger than 4 bytes"):
        read_at_most(io.BytesIO(b"12345"), 4, "the map")
