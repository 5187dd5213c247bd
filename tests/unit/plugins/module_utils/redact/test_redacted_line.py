# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redacted_line import redacted_line
from hypothesis import given
from hypothesis import strategies as st

STATEMENT = "INSERT " + ", ".join(f"`t{number}`.`id`" for number in range(200))


@pytest.mark.parametrize(
    "said",
    ["x password=hunter2 y", 'params: {"password":"hunter2"}', "admin_Password: hunter2", "token = hunter2",
     "database dialect: mysql sqlStr: u:hunter2@tcp(1.2.3.4)", "secret_key:hunter2", "Authorization: Bearer hunter2",
     "dial root:hunter2@tcp(10.0.0.1:3306)/yunioncloud", "GET https://admin:hunter2@10.0.0.1/x",
     "mysql pwd=hunter2", "dsn: root hunter2", "dsn=host=db user=root password=hunter2", "auth: hunter2",
     "session_id=hunter2", "--dsn hunter2", "sent Bearer hunter2hunter2",
     "key gAAAAABhunter2hunter2hunter2hunter2hunter2hunter2=="],
)  # fmt: skip
def test_removes_secrets(said):
    assert "hunter2" not in redacted_line(said)
    assert "[redacted:" in redacted_line(said)


@pytest.mark.parametrize(
    "said",
    ["GET /servers/0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0 (10.40.1.7:54321:region) 12.34ms",
     "WorkerManager HttpGetRequestWorkerManager has been busy for 7 cycles...",
     "work [2026-11-23 00:22:28.1 +0000 UTC m=+5.1]GET /servers stucking for a while"],
)  # fmt: skip
def test_keeps_other_text(said):
    assert redacted_line(said) == said


def test_is_one_short_printable_line():
    assert redacted_line("a\x1b[2J\x00\u2028b") == "a?[2J??b"
    assert len(redacted_line("y " * 9000)) == 240


def test_keeps_the_match_and_the_end():
    line = f"exec sql {STATEMENT} LIMIT 1: Error 1040: Too many connections: give up {STATEMENT} at last"
    text = redacted_line(line, 240, ["Too many connections"])
    assert len(text) <= 240
    assert text.startswith("exec sql INSERT")
    assert "Error 1040: Too many connections: give up" in text
    assert text.endswith("at last")


@given(st.text(max_size=2000), st.integers(60, 400), st.lists(st.text(min_size=1, max_size=30), max_size=3))
def test_is_never_too_long(message, length, around):
    assert len(redacted_line(message, length, around)) <= length


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_always_keeps_the_match(before, after):
    text = redacted_line("b " * before + "queue full, task dropped" + " a" * after, 240, ["queue full, task dropped"])
    assert "queue full, task dropped" in text
