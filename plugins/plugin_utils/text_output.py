# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show plain text for people on standard output, through Ansible's Display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible import constants, context
from ansible.utils.display import Display
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.progress import FOR_PEOPLE

# Callback of ansible-runner, which AWX, ansible-navigator and ansible-rulebook use. It turns each text of Display into
# an event, so text is harmless there.
RUNNER = frozenset(("awx_display",))


def shows_text(callback: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether text on standard output reaches people, and disturbs no program that reads it."""
    return callback in FOR_PEOPLE | RUNNER and not arguments.get("one_line")


def text_is_shown() -> bool:
    """Apply shows_text() to this run of Ansible."""
    return shows_text(constants.DEFAULT_STDOUT_CALLBACK, context.CLIARGS)


def result_is_dumped() -> bool:
    """Return whether the structured result of a failed task is needed, on the screen or by a program."""
    return constants.DEFAULT_STDOUT_CALLBACK not in FOR_PEOPLE or Display().verbosity > 0


def show_text(lines: Sequence[str]) -> None:
    """Show the lines if text_is_shown()."""
    if lines and text_is_shown():
        Display().display("\n".join(lines))
