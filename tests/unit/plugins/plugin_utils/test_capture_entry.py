# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entry of one capture of a run, from untrusted module results."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.capture_entry import (
    MissedCapture,
    capture_entry,
    error_of,
)


@pytest.mark.parametrize(
    ("result", "missed"),
    [
        ({"changed": True}, None),
        ({"failed": True, "msg": "wrong\npath"}, MissedCapture("wrong path", "no_result")),
        ({"unreachable": True, "msg": "no route"}, MissedCapture("no route", "unreachable")),
        ({"failed": True}, MissedCapture("It failed without a message.", "no_result")),
        (
            {"failed": True, "msg": "See stderr.", "module_stdout": "", "module_stderr": "one\nno python\n"},
            MissedCapture("See stderr: no python", "no_result"),
        ),
        ({"failed": True, "msg": "\x1b[2J\u202egone"}, MissedCapture("?[2J?gone", "no_result")),
    ],
)
def test_returns_the_error_of_a_result(result, missed):
    assert error_of(result) == missed


@pytest.mark.parametrize("bad", [{"would": "x", "found": "many", "table": "x"}, {"would": ["x"], "found": -1}])
def test_ignores_values_of_other_types(bad):
    found = capture_entry({"run": "run", "host": "a", "cluster": "a"}, "", None, {**bad, "verdict": "\x1b"}, True)
    assert (found["would"], found["said"], found["table"], found["verdict"]) == (0, "", [], "?")
