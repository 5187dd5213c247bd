# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs of life of an instance besides its log. Pure.

The log watch collects them. None and "" mean unknown.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Liveness:
    """Signs of life of one instance at the end of a watch. Moments are in seconds since 1970.

    ready: the cluster reports it as ready. process: the reason why its process does not execute ("stopped (SIGSTOP)").
    state: the state of a container that does not run ("crash_loop: back-off 5m0s"). loops: it crashed so often that
    the kubelet delays the next start. ping: /ping was answered. said: the result of /ping in words ("was not answered
    within 5 s"). heard: when a line was last read live. started: when its process began. ended, end: when and how the
    previous process ended.
    """

    ready: bool | None = None
    process: str = ""
    state: str = ""
    loops: bool = False
    ping: bool | None = None
    said: str = ""
    heard: float | None = None
    started: float | None = None
    ended: float | None = None
    end: str = ""


# Only the log of the instance is known.
UNKNOWN_LIVENESS = Liveness()
