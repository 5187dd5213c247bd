# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failed action whose message is shown once.

Since release 2.19, ansible-core shows the message of a failed task twice: as an [ERROR] with an excerpt of the
playbook, and in the result. The first helps to find a mistake in a playbook. It is in the way where the mistake is in
what the user typed, and the message says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleAction
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import TRUSTS_EXCEPTIONS


class _Mistaken(AnsibleAction):  # type: ignore[misc]  # of a library without types
    """An exception without an [ERROR]; AnsibleActionSkip of ansible-core does the same."""

    omit_exception_key = True


def failed_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return, or raise for ansible-core, this result as one of a failure. msg: why it failed, a text or sentences."""
    failed = {**{key: value for key, value in result.items() if key != "exception"}, "failed": True}
    if TRUSTS_EXCEPTIONS:
        return failed
    msg = failed["msg"]
    raise _Mistaken(" ".join(msg) if isinstance(msg, list) else str(msg), result=failed)


def failed_once(sentences: list[str]) -> dict[str, Any]:
    """Return, or raise for ansible-core, a failed result with these sentences. Each of them has a line of its own."""
    return failed_result({"changed": False, "msg": sentences, "_ansible_verbose_always": True})
