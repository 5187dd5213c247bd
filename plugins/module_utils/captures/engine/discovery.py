# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List instances; report what could not be seen or is not there, and refuse instances that do not run."""

from __future__ import annotations

from ...capture_names import DISCOVERY
from ...catalog import Selection, no_component
from ...deadline import Deadline, DeadlineExceeded
from ...model import Instance, LedgerRow, place_row
from ...reasons import CaptureError, Reason, Verdict, verdict
from ...transports.base import Discovery, Transport
from ...vocabulary import State

MAX_DISCOVERY_SECONDS = 60.0
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


def discover(transport: Transport, selection: Selection, deadline: Deadline) -> Discovery:
    """Discover instances under a deadline of its own. Not ending in time is reported as a problem."""
    try:
        return transport.discover(selection, deadline.child(MAX_DISCOVERY_SECONDS, "discovery"))
    except DeadlineExceeded as error:
        return Discovery(problems=[("", verdict(Reason.UNREACHABLE, str(error)))])


def discovery_rows(found: Discovery, selection: Selection, cluster: str) -> list[LedgerRow]:
    """Return rows for places that could not be seen, and for named components that are not there.

    A component that the user named has to be there; one of a scenario need not. If nothing could be looked at, no row
    is about a component.
    """
    present = {instance.component for instance in found.instances}
    missing = [name for name in selection.names if name not in present] if selection.named else []
    # Of the machines of a cluster, each may lack what others have.
    where = f" on {found.machine}" if found.machine else ""
    names = {name: no_component(name) if name in found.unknown else name + where for name in missing}
    lacking: list[tuple[str, Verdict]] = []
    if selection.scenario and not found.problems:
        lacking = [(name, verdict(Reason.NOT_DEPLOYED, words)) for name, words in names.items()]
    elif not selection.scenario and (found.instances or not found.is_unseen):
        lacking = [(name, verdict(Reason.NOT_FOUND, words)) for name, words in names.items()]
    rows = [place_row(cluster, namespace, "", DISCOVERY, problem) for namespace, problem in found.problems]
    return rows + [place_row(cluster, "", name, DISCOVERY, outcome) for name, outcome in lacking]


def refuse_by_state(instance: Instance) -> CaptureError | None:
    """Return the refusal of an instance that does not run; None if it runs."""
    if instance.state in _BY_STATE:
        return CaptureError(_BY_STATE[instance.state], instance.state_detail)
    return None
