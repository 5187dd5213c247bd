# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module ends, whatever its work does."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redactor import RedactionError, Redactor
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.running import leaving_part, run_shown


class Failed(Exception):
    """The module failed, with these keys."""


class Module:
    """As much of an AnsibleModule as is needed."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {"redact": "secrets"}
        self.no_log_values: set[str] = set()
        self.check_mode = False

    def fail_json(self, **keys: Any) -> None:
        raise Failed(keys)


def test_a_result_that_cannot_be_looked_through_is_left_out_and_its_place_is_not(monkeypatch):
    def fails(*_arguments: object) -> bytes:
        raise RedactionError("no memory")

    monkeypatch.setattr(Redactor, "data", fails)
    with pytest.raises(Failed) as failed:
        run_shown(Module(), lambda *_given: {"output": "/captures", "archive": "", "rows": ["secret"]}, 1)
    (keys,) = failed.value.args
    assert "no memory" in keys.pop("msg")
    assert keys == {"output": "/captures", "archive": ""}


def test_a_failure_after_a_capture_names_where_the_captures_are(tmp_path):
    part = tmp_path / "part"
    params = {"output": str(part), "archive": False}

    def fails(_store: Any) -> Any:
        raise OSError("no room")

    def fails_late(store: Any) -> Any:
        store.record([row(Instance("c", "region", "r"), "stack", verdict(Reason.PROVEN))])
        fails(store)

    with pytest.raises(OSError, match=r"^no room$"):
        leaving_part(params, fails)
    with pytest.raises(OSError, match=f"^no room; what was captured until then stays in {part}$"):
        leaving_part(params, fails_late)
    assert (part / "ledger.jsonl").exists()
