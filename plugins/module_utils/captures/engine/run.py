# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run collectors on instances."""

from __future__ import annotations

from ...reasons import Reason, Verdict, verdict


def unfinished(error: BaseException | None, started: bool) -> Verdict:
    """The verdict on what a turn left unanswered that did not come to its own end."""
    if error is not None:
        return verdict(Reason.ERROR, f"{type(error).__name__}: {error}")
    if started:
        return verdict(Reason.NO_ANSWER, "it did not end when told to, and was left behind")
    return verdict(Reason.RUN_DEADLINE)
