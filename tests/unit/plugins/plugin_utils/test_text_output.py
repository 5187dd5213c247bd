# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions for plain text on standard output."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.text_output import shows_text


@pytest.mark.parametrize(
    ("callback", "arguments", "shown"),
    [
        ("default", {}, True),
        ("ansible.builtin.default", {}, True),
        ("community.general.yaml", {}, True),
        # An event of ansible-runner, not a line on its standard output.
        ("awx_display", {}, True),
        ("json", {}, False),
        ("ansible.posix.json", {}, False),
        ("ansible.posix.jsonl", {}, False),
        ("somebodys.own", {}, False),
        ("default", {"one_line": True}, False),
    ],
)
def test_shows_text_where_it_is_harmless(callback, arguments, shown):
    assert shows_text(callback, arguments) is shown
