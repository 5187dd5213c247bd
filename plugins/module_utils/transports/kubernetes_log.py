# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server is asked of a pod's log: its first line, its newest one, and streams. Each line has a stamp."""

from __future__ import annotations

import contextlib
from typing import Iterator

from ..deadline import Deadline
from ..model import Instance
from .kubernetes_api import Api, ApiProblem, Stream
from .kubernetes_fields import pod_path
from .seam import Stamp, stamp_of

# How long a stream that has something to show may take to show it, and one short answer may take.
ANSWER_SECONDS = 15.0
FIRST_BYTES, LAST_BYTES = 200, 1 << 16


class NoBytes(ApiProblem):
    """Nothing came in time: a stream of an empty log says nothing, and neither does one of a hung node."""


class StampedLog:
    """Of one container after another; one question at a time, which another thread may cut off."""

    def __init__(self, api: Api, deadline: Deadline) -> None:
        self._api = api
        self._deadline = deadline
        self._stream: Stream | None = None
        self._is_cut = False

    def oldest(self, instance: Instance) -> Stamp | None:
        """The stamp of the first line of the newest file; None where there is none. ApiProblem, DeadlineExceeded."""
        return stamp_of(self._short(instance, {"limitBytes": str(FIRST_BYTES)}))

    def newest(self, instance: Instance) -> bytes:
        """The newest line, with its end; nothing where there is none. ApiProblem, DeadlineExceeded."""
        last = self._short(instance, {"tailLines": "1", "limitBytes": str(LAST_BYTES)})
        return last.rstrip(b"\n") + b"\n" if stamp_of(last) else b""

    def _short(self, instance: Instance, query: dict[str, str]) -> bytes:
        with self.opening(instance, query, ANSWER_SECONDS) as stream:
            data = bytearray()
            for piece in stream.chunks(silence=ANSWER_SECONDS):
                data += piece
                if len(data) > LAST_BYTES:
                    # More than was asked for.
                    break
            if stream.broken:
                raise ApiProblem(0, "the connection broke while the log was read")
            return bytes(data[:LAST_BYTES])

    @contextlib.contextmanager
    def opening(self, instance: Instance, query: dict[str, str], patience: float) -> Iterator[Stream]:
        """A stream of the log. ApiProblem (NoBytes where nothing came in time), DeadlineExceeded."""
        path = f"{pod_path(instance)}/log"
        query = dict(query, container=instance.container, timestamps="true")
        stream = self._api.open_stream(path, query, self._deadline, patience)
        if stream is None:
            raise NoBytes(0, f"no answer within {patience:.0f} s")
        outer, self._stream = self._stream, stream
        try:
            with self._deadline.guard(stream.cut_off):
                if self._is_cut:
                    stream.cut_off()
                yield stream
        finally:
            self._stream = outer
            stream.close()

    def cut_off(self) -> None:
        """End what is read, and all that is opened from now on. From any thread."""
        self._is_cut = True
        stream = self._stream
        if stream is not None:
            stream.cut_off()
