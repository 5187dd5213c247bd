# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the instances of a selection, and report what could not be seen or is not there."""

from __future__ import annotations

from ...capture_names import DISCOVERY
from ...catalog import Selection, no_component
from ...deadline import Deadline, DeadlineExceeded
from ...model import Instance, LedgerRow, row, utc_now, utc_text
from ...reasons import Reason, Verdict, verdict
from ...transports.base import Discovery, Transport

MAX_DISCOVERY_SECONDS = 60.0


def discover(transport: Transport, selection: Selection, deadline: Deadline) -> Discovery:
    """Discover instances under a deadline of its own. Not ending in time is reported as a problem."""
    try:
        return transport.discover(selection, deadline.child(MAX_DISCOVERY_SECONDS, "discovery"))
    except DeadlineExceeded as error:
        return Discovery(problems=[("", verdict(Reason.UNREACHABLE, str(error)))])


def place_row(cluster: str, namespace: str, component: str, outcome: Verdict) -> LedgerRow:
    """Return a row about a place rather than an instance: it could not be looked at, or lacks a component."""
    nothing = Instance(cluster=cluster, component=component, name="", namespace=namespace)
    return row(nothing, DISCOVERY, outcome, started=utc_text(utc_now()))


def discovery_rows(found: Discovery, selection: Selection, cluster: str) -> list[LedgerRow]:
    """Return rows for places that could not be seen, and for named components that are not there.

    A component that the user named has to be there; one of a scenario need not. If nothing could be looked at, no row
    is about a component.
    """
    rows = [place_row(cluster, namespace, "", problem) for namespace, problem in found.problems]
    missing = [name for name in selection.names if name not in {instance.component for instance in found.instances}]
    if selection.named and selection.scenario and not found.problems:
        rows += [place_row(cluster, "", name, verdict(Reason.NOT_DEPLOYED, _which(name, found))) for name in missing]
    elif selection.named and not selection.scenario and (found.instances or not is_unseen(found)):
        rows += [place_row(cluster, "", name, verdict(Reason.NOT_FOUND, _which(name, found))) for name in missing]
    return rows


def is_unseen(found: Discovery) -> bool:
    """Return whether a place could not be looked at. A URL that Keystone's catalog lacks was looked at."""
    return any(problem.reason is not Reason.NO_CATALOG_ENTRY for _place, problem in found.problems)


def _which(name: str, found: Discovery) -> str:
    """Return the name of a missing component for a message."""
    if name in found.unknown:
        return no_component(name)
    # Of the machines of a cluster, each may lack what others have.
    return f"{name} on {found.machine}" if found.machine else name
