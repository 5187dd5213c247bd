# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress lines: when they are shown, for which hosts, and with what text."""

from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils import progress

A, B = 34816, 34817  # two terminals


@pytest.mark.parametrize(
    ("stdout", "stderr", "callback", "arguments", "shown"),
    [
        (A, A, "default", {}, True),
        (A, A, "ansible.posix.debug", {}, True),
        (A, None, "default", {}, False),
        (None, None, "default", {}, False),
        # Standard output goes elsewhere: whatever stands there is not touched.
        (None, A, "default", {}, True),
        (None, A, "ansible.posix.json", {}, True),
        (B, A, "ansible.posix.json", {}, True),
        # The same terminal, and something that may be read by a program.
        (A, A, "ansible.posix.json", {}, False),
        (A, A, "awx_display", {}, False),
        (A, A, "oneline", {}, False),
        (A, A, "somebodys.own", {}, False),
        (A, A, "default", {"one_line": True}, False),
        (None, A, "default", {"one_line": True}, True),
    ],
)
def test_shows_lines_only_to_people(stdout, stderr, callback, arguments, shown):
    assert progress.may_show(stdout, stderr, callback, arguments) is shown


def test_recognizes_what_is_not_a_terminal(tmp_path):
    with (tmp_path / "file").open("w") as file:
        assert progress.terminal_of(file.fileno()) is None
    assert progress.terminal_of(10**6) is None


@pytest.mark.parametrize(("hosts", "forks", "rounds"), [(1, 5, 1), (10, 50, 1), (11, 50, 2), (200, 50, 5), (200, 5, 1)])
def test_hosts_take_turns(hosts, forks, rounds):
    names = [f"cluster-{number}" for number in range(hosts)]
    running = [progress.line_schedule(name, names, forks, 10.0) for name in names[:forks]]
    assert {every for _first, every in running} == {10.0 * rounds}
    firsts = [first for first, _every in running]
    # Somebody in every ten seconds, and never more than so many.
    assert set(firsts) == {10.0 * (1 + number) for number in range(rounds)}
    assert max(firsts.count(first) for first in firsts) <= progress.HOSTS_AT_ONCE


def test_host_without_a_batch_has_a_turn():
    assert progress.line_schedule("x", [], 5, 10.0) == (10.0, 10.0)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            {"seconds": 600, "counts": {"streams": 12, "lines": 18234, "dumps": [3, 40]}},
            "a  log_watch  40 s of at most 600 s: 12 streams, 18,234 lines, 3 of 40 dumps",
        ),
        ({"seconds": 300.0, "counts": {}}, "a  log_watch  40 s of at most 300 s"),
        ({}, "a  log_watch  40 s"),
    ],
)
def test_formats_the_line(document, said):
    assert progress.progress_line("a", "log_watch", 40.2, document) == said


def test_reads_the_progress_file(tmp_path):
    path = tmp_path / "progress.json"
    document = {"seconds": 600.0, "counts": {"streams": 12, "dumps": [3, 40]}}
    path.write_text(json.dumps(document))
    assert progress.read_document(path) == document


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 4000,
        b"3",
        b"{}",
        b'{"seconds": 1, "counts": []}',
        b'{"seconds": "1", "counts": {}}',
        b'{"seconds": NaN, "counts": {}}',
        b'{"seconds": -1, "counts": {}}',
        b'{"seconds": 1e300, "counts": {}}',
        b'{"seconds": 1, "counts": {"\\u001b[2J": 1}}',
        b'{"seconds": 1, "counts": {"lines\\n": 1}}',
        b'{"seconds": 1, "counts": {"lines": "many"}}',
        b'{"seconds": 1, "counts": {"lines": 1.5}}',
        b'{"seconds": 1, "counts": {"lines": [1, 2, 3]}}',
        b'{"seconds": 1, "counts": {"lines": [1, "\\u001b"]}}',
        b'{"seconds": 1, "counts": {"lines": 9999999999999999}}',
        json.dumps({"seconds": 1, "counts": {f"n{'x' * number}": 1 for number in range(20)}}).encode(),
        json.dumps({"seconds": 1, "counts": {}, "more": "x" * 5000}).encode(),
    ],
)
def test_ignores_other_content(tmp_path, content):
    path = tmp_path / "progress.json"
    path.write_bytes(content)
    assert progress.read_document(path) == {}


def test_runs_module_without_a_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(progress.constants, "DEFAULT_LOCAL_TMP", str(tmp_path / "missing"))
    monkeypatch.setenv(progress.FILE_VARIABLE, "before")
    with progress.file_for_module() as path:
        assert progress.os.environ[progress.FILE_VARIABLE] == str(path)
        assert progress.read_document(path) == {}
    assert progress.os.environ[progress.FILE_VARIABLE] == "before"


def test_folder_is_private_and_removed(monkeypatch, tmp_path):
    monkeypatch.setattr(progress.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    monkeypatch.delenv(progress.FILE_VARIABLE, raising=False)
    with progress.file_for_module() as path:
        assert path.parent.parent == tmp_path
        assert path.parent.stat().st_mode & 0o777 == 0o700
        path.write_text("{}")
    assert list(tmp_path.iterdir()) == []
    assert progress.FILE_VARIABLE not in progress.os.environ
