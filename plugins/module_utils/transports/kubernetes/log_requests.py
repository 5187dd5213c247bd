# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests for a pod's log with timestamps: its first line, its newest line, and streams."""

from __future__ import annotations

import contextlib
from typing import Iterator

from ...deadline import Deadline
from ...logtext.lines import FOREIGN_BYTES
from ...logtext.timestamps import PREFIX_BYTES, Timestamp, timestamp_of
from ...model import Instance
from .api import Api, Stream
from .continuity_steps import PodFollowLimits
from .fields import pod_path
from .problem import ApiProblem, NoBytes, NotALog

FIRST_BYTES, LAST_BYTES = 200, 1 << 16


class PodLogRequests:
    """Requests for the log of a pod's containers, one at a time. Another thread may cut off the current one.

    timeout: seconds that a short answer may take.
    """

    def __init__(self, api: Api, deadline: Deadline, timeout: float = PodFollowLimits.answer) -> None:
        self._api = api
        self._deadline = deadline
        self._timeout = timeout
        self._stream: Stream | None = None
        self._is_cut = False

    def oldest(self, instance: Instance) -> Timestamp | None:
        """Return the timestamp of the first line of the newest file, None if it is empty.

        Raise ApiProblem (NotALog for text in place of the log) or DeadlineExceeded.
        """
        return timestamp_of(self._short(instance, {"limitBytes": str(FIRST_BYTES)}))

    def newest(self, instance: Instance) -> bytes:
        """Return the newest line with its newline, b"" for an empty log. Raise as oldest() does."""
        last = self._short(instance, {"tailLines": "1", "limitBytes": str(LAST_BYTES)})
        return last.rstrip(b"\n") + b"\n" if last else b""

    def prove(self, instance: Instance) -> None:
        """Return if the log can be read, or is empty. Raise as oldest() does."""
        self._short(instance, {"tailLines": "1", "limitBytes": str(FOREIGN_BYTES)})

    def _short(self, instance: Instance, query: dict[str, str]) -> bytes:
        with self.opening(instance, query, self._timeout) as stream:
            data = bytearray()
            for piece in stream.chunks(silence=self._timeout):
                data += piece
                if len(data) > LAST_BYTES:
                    # More than requested.
                    break
            self._deadline.check()
            if stream.broken:
                raise ApiProblem(0, "the connection broke while the log was read")
            if data and not timestamp_of(bytes(data[:PREFIX_BYTES])):
                raise NotALog(bytes(data[:FOREIGN_BYTES]))
            return bytes(data[:LAST_BYTES])

    @contextlib.contextmanager
    def opening(self, instance: Instance, query: dict[str, str], timeout: float) -> Iterator[Stream]:
        """Open a stream of the log for a while. Raise ApiProblem (NoBytes if none came in time) or DeadlineExceeded."""
        path = f"{pod_path(instance)}/log"
        query = dict(query, container=instance.container, timestamps="true")
        stream = self._api.open_stream(path, query, self._deadline, timeout)
        if stream is None:
            raise NoBytes(0, f"no answer within {timeout:.0f} s")
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
        """End the current read and all streams opened later. Any thread may call it."""
        self._is_cut = True
        stream = self._stream
        if stream is not None:
            stream.cut_off()
