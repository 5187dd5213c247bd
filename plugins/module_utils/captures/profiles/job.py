# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One instance whose profiles are requested, and the jobs that request them."""

from __future__ import annotations

from typing import Sequence

from ...capture_names import PROFILE_PREFIX
from ...catalog import Http
from ...model import Instance
from ...pprof import Kind
from ...reasons import Reason, Verdict
from ...transports.base import HttpTarget
from ..engine.job import Job

# Names of addresses: beside the kinds, since they are requested by POST.
NAMES = PROFILE_PREFIX + "names"


def captures_of(kinds: Sequence[Kind], names: bool) -> list[str]:
    """Return the names of these captures in the ledger. names: with the names of addresses."""
    return [kind.capture for kind in kinds] + ([NAMES] if names else [])


class ProfileTarget:
    """One instance, shared by its jobs. closed: why nothing more is requested of it; None as long as more is."""

    def __init__(self, instance: Instance, http: Http) -> None:
        self.instance = instance
        self.http = http
        self.closed: Verdict | None = None

    def request(self, path: str, body: bytes = b"") -> HttpTarget:
        """Return the target of one request."""
        return HttpTarget(self.http.scheme, self.http.port_among(self.instance.ports), path, body)


class ProfileJob(Job):
    """Profiles that are requested one after the other.

    owed: the captures that get a row whatever happens. previous: the job of the same instance that has to end first.
    reason: that of the newest request, or of what spoke against it.
    """

    def __init__(
        self,
        target: ProfileTarget,
        kinds: Sequence[Kind],
        owed: Sequence[str],
        previous: ProfileJob | None = None,
    ) -> None:
        super().__init__(target.instance, owed)
        self.target = target
        self.kinds = kinds
        self.previous = previous
        self.reason: Reason | None = None
