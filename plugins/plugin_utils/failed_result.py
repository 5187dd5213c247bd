# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failed results whose message Ansible shows only once.

Since release 2.19, ansible-core shows the message of a failed task twice: as an [ERROR] with an excerpt of the
playbook, and in the result. The excerpt helps with mistakes in a playbook. It is noise for a mistake in the user's
input that the message names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleAction
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import TRUSTS_EXCEPTIONS


class _Mistaken(AnsibleAction):  # type: ignore[misc]  # of a library without types
    """Exception without an [ERROR]. AnsibleActionSkip of ansible-core works in the same way."""

    omit_exception_key = True


def failed_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return this result as a failed one, or raise it for ansible-core.

    msg: why it failed, as text or sentences.
    """
    failed = {**{key: value for key, value in result.items() if key != "exception"}, "failed": True}
    if TRUSTS_EXCEPTIONS:
        return failed
    msg = failed["msg"]
    raise _Mistaken(" ".join(msg) if isinstance(msg, list) else str(msg), result=failed)


def failed_once(sentences: list[str]) -> dict[str, Any]:
    """Return a failed result with these sentences, one a line, or raise it for ansible-core."""
    return failed_result({"changed": False, "msg": sentences, "_ansible_verbose_always": True})
