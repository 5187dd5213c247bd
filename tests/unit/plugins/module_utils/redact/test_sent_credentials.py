# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of this process."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact import sent_credentials
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redactor import NONE, Redactor


def test_every_redactor_removes_credentials_that_were_sent():
    redactor = Redactor(NONE)
    sent_credentials.remember("token-of-a-program-0123456789")
    try:
        assert b"token-of-a-program-0123456789" in sent_credentials.remembered()
        assert redactor.text("echo token-of-a-program-0123456789") == "echo [redacted:own-credential]"
    finally:
        sent_credentials.forget_all()
    assert not sent_credentials.remembered()
    assert redactor.text("echo token-of-a-program-0123456789") == "echo token-of-a-program-0123456789"
