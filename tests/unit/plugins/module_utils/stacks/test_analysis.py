# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the dumps of files, folders and archives."""

from __future__ import annotations

import gzip

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.analysis import analyse
from dumps import CORPUS, LOG

DEBUG1 = CORPUS["go1.27/debug1"]


def test_reads_files_of_a_folder(tmp_path):
    (tmp_path / "a.log").write_bytes(LOG + DEBUG1)
    (tmp_path / "b.log.gz").write_bytes(gzip.compress(LOG))
    (tmp_path / "c.txt").write_bytes(DEBUG1)
    found = analyse([str(tmp_path)], ["*.log", "*.log.gz"], 1 << 20)
    assert [(file["dumps"], file["complete"]) for file in found["files"]] == [(1, "true"), (0, "false")]
    assert found["totals"]["forms"] == {"debug1": 1}
    # A file that the user did not name need not hold a dump.
    assert found["complete"] == "true"


def test_named_file_must_hold_a_dump(tmp_path):
    (tmp_path / "a.log").write_bytes(LOG)
    found = analyse([str(tmp_path / "a.log")], [], 1 << 20)
    assert found["complete"] == "false"
    assert [error["message"] for error in found["errors"]] == ["no goroutines were found"]


def test_names_other_format(tmp_path):
    (tmp_path / "a").write_bytes(b"heap profile: 1: 2 [3: 4] @ heap/1048576\n")
    (error,) = analyse([str(tmp_path / "a")], [], 1 << 20)["errors"]
    assert "it is a heap profile as text (debug=1)" in error["message"]


def test_reports_limit_and_unreadable_file(tmp_path):
    (tmp_path / "a").write_bytes(DEBUG1)
    found = analyse([str(tmp_path / "a"), str(tmp_path / "none")], [], len(DEBUG1) - 100)
    assert [(error["path"], error["message"]) for error in found["errors"]][-2:] == [
        (str(tmp_path / "a"), f"only the first {len(DEBUG1) - 100} bytes were read"),
        (str(tmp_path / "none"), "cannot be read: No such file or directory"),
    ]
    assert found["complete"] == "false"


def test_limits_groups(tmp_path):
    (tmp_path / "a").write_bytes(DEBUG1)
    (dump,) = analyse([str(tmp_path / "a")], [], 1 << 20, max_groups=2)["dumps"]
    assert len(dump["groups"]) == 2
    assert dump["groups_left_out"] > 0
