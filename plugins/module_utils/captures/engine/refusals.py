# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse captures of instances that do not run. Pure."""

from __future__ import annotations

from ...model import Instance
from ...reasons import CaptureError, Reason
from ...vocabulary import State

_BY_STATE = {
    State.PENDING: Reason.PENDING,
    State.WAITING: Reason.NOT_STARTED,
    State.INIT: Reason.STUCK_IN_INIT,
    State.CRASH_LOOP: Reason.CRASH_LOOP,
    State.TERMINATING: Reason.TERMINATING,
    State.TERMINATED: Reason.TERMINATED,
    State.NO_CONTAINER: Reason.WRONG_CONTAINER,
    State.NODE_LOST: Reason.NODE_LOST,
    State.UNTRUSTED: Reason.UNTRUSTED,
}


def refuse_by_state(instance: Instance) -> CaptureError | None:
    """Return the refusal of an instance that does not run; None if it runs."""
    if instance.state in _BY_STATE:
        return CaptureError(_BY_STATE[instance.state], instance.state_detail)
    return None
