# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs of life of an instance besides its log. Pure.

The log watch collects them. None and "" mean unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..logtext.timestamps import parse_rfc3339
from ..model import Instance, state_words
from ..vocabulary import State


@dataclass(frozen=True)
class Liveness:
    """Signs of life of one instance at the end of a watch. Moments are in seconds since 1970.

    ready: the cluster reports it as ready. process: the reason why its process does not execute ("stopped (SIGSTOP)").
    state: the state of a container that does not run ("crash_loop: back-off 5m0s"). loops: it crashed so often that
    the kubelet delays the next start. ping: /ping was answered. ping_result: its result in words ("was not answered
    within 5 s"). heard: when a line was last read live. started: when its process began. ended, end: when and how the
    previous process ended.
    """

    ready: bool | None = None
    process: str = ""
    state: str = ""
    loops: bool = False
    ping: bool | None = None
    ping_result: str = ""
    heard: float | None = None
    started: float | None = None
    ended: float | None = None
    end: str = ""


# Only the log of the instance is known.
UNKNOWN_LIVENESS = Liveness()


def liveness_of(instance: Instance, since: float, heard: float | None) -> Liveness:
    """Return the signs of life that an instance list shows.

    since: when the window begins; heard: when a line was last read live. Seconds since 1970.
    """
    process = instance.process
    state = "" if instance.state in (State.RUNNING, State.UNTRUSTED) else instance.state.value
    ended = parse_rfc3339(instance.last_ended)
    is_recent = ended is not None and ended >= since
    return Liveness(
        # Only Kubernetes knows whether an instance is ready.
        ready=instance.ready if process is None else None,
        process=state_words(process) if process is not None else "",
        state=f"{state}: {instance.state_detail}" if state and instance.state_detail else state,
        loops=instance.state is State.CRASH_LOOP,
        heard=heard,
        started=parse_rfc3339(instance.started),
        ended=ended if is_recent else None,
        end=instance.last_end if is_recent else "",
    )
