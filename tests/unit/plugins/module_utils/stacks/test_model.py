# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts and plain values of dumps."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.model import Dump, Frame, Group, ParseResult


def dump(complete: bool | None, form: str = "debug2") -> Dump:
    group = Group(2, (Frame("main.a", "/a.go", 1), Frame("main.main", "/m.go", 9)), state="select", ids=[1, 2])
    return Dump(form=form, goroutines=3, complete=complete, groups=[group, Group(1, (), state="running")])


@pytest.mark.parametrize(
    ("found", "unread", "complete"),
    [
        ([], 0, False),
        ([True], 0, True),
        ([True, False], 0, False),
        ([True, None], 0, None),
        ([True], 1, None),
    ],
)
def test_result_is_as_complete_as_its_worst_dump(found, unread, complete):
    assert ParseResult([dump(each) for each in found], [], unread).complete is complete


def test_single_stacks_do_not_count_as_dumps():
    assert ParseResult([dump(None, "stack")], []).complete is False
    assert ParseResult([dump(None, "stack"), dump(True)], []).complete is True


def test_converts_to_plain_values():
    plain = dump(None).to_dict(max_groups=1)
    assert (plain["complete"], plain["groups_left_out"], len(plain["groups"])) == ("unknown", 1, 1)
    assert plain["groups"][0]["functions"] == ["main.a", "main.main"]
    assert plain["groups"][0]["locations"] == ["/a.go:1", "/m.go:9"]
