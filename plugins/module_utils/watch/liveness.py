# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of an instance besides its log: whether it lives. Pure.

Who watches asks for it, and tells it as facts; None and "" stand for what is not known.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Liveness:
    """Signs of life of one instance at the end of a watch. Moments are in seconds since 1970.

    ready: whether it is ready, where the cluster knows that. process: what keeps its process from executing
    ("stopped (SIGSTOP)"). state: of its container, where that does not run ("crash_loop: back-off 5m0s"); loops: it
    crashed so often that its next start is put off. ping: whether /ping was answered; said: what came of it, in words
    ("was not answered within 5 s"). heard: when a line was read as it was written. started: when its process began.
    ended, end: when and how the process before it ended.
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


# Nothing is known of the instance but its log.
UNKNOWN_LIVENESS = Liveness()
