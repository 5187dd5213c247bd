# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failed results whose message is shown once."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleAction
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.failed_result import failed_once, failed_result
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import TRUSTS_EXCEPTIONS


def result_of(call, argument):
    """Return the failed result, whether it is returned or raised."""
    if TRUSTS_EXCEPTIONS:
        return call(argument)
    with pytest.raises(AnsibleAction) as raised:
        call(argument)
    return raised.value.result


def test_result_has_failed_without_an_exception():
    found = result_of(failed_result, {"changed": True, "msg": "why", "exception": "trace"})
    assert found["failed"] is True
    assert (found["changed"], found["msg"]) == (True, "why")
    assert "exception" not in found


def test_keeps_each_sentence_separate():
    found = result_of(failed_once, ["One.", "Two."])
    assert found["msg"] == ["One.", "Two."]
    assert found["_ansible_verbose_always"] is True
