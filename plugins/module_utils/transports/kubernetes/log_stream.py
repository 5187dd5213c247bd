# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server is asked of a pod's log: its first line, its newest one, and streams. Each line has a stamp.

A kubelet answers 200 before it opens the file. Where it then cannot, its error text is the body, or follows the last
line, without a stamp and mostly without an end of line (kubernetes pkg/kubelet/server, getContainerLogs). So what has
no stamp is no log.
"""

from __future__ import annotations

import contextlib
from typing import Iterator

from ...deadline import Deadline
from ...model import Instance
from ...reasons import Reason
from ..follow import WholeLines
from ..seam import KEY, Stamp, stamp_of
from .api import Api, Stream
from .fields import pod_path
from .problem import ApiProblem

# How long a stream that has something to show may take to show it, and one short answer may take.
ANSWER_SECONDS = 15.0
FIRST_BYTES, LAST_BYTES = 200, 1 << 16
# So much is kept of a text that is no log.
FOREIGN_BYTES = 2000


class NoBytes(ApiProblem):
    """Nothing came in time: a stream of an empty log says nothing, and neither does one of a hung node."""


class NotALog(ApiProblem):
    """A text came in place of the log, or behind its last line."""

    def __init__(self, text: bytes) -> None:
        super().__init__(200, text.decode("utf-8", "replace").strip())
        self.reason = Reason.LOG_UNAVAILABLE


class StampedLines(WholeLines):
    """Cuts a stamped stream where its lines end. Lines without a stamp go to `foreign`. Sans-I/O.

    is_shown: a line with a stamp came.
    """

    def __init__(self) -> None:
        super().__init__()
        self.foreign = b""
        self.is_shown = False

    def feed(self, data: bytes) -> bytes:
        was_inside = self.is_inside
        block = self._stamped(super().feed(data), was_inside)
        self.is_shown = self.is_shown or bool(block)
        return block

    def _stamped(self, block: bytes, was_inside: bool) -> bytes:
        begin = 0
        if was_inside:
            # The rest of a line whose beginning was passed on.
            begin = block.find(b"\n") + 1 or len(block)
        last = block.rfind(b"\n", begin, len(block) - 1) + 1 or begin
        # Such a text is the last that comes, so the last line tells whether there is one.
        if last == len(block) or stamp_of(block[last : last + KEY]):
            return block
        lines = block[begin:].splitlines(keepends=True)
        self._note(b"".join(line for line in lines if not stamp_of(line[:KEY])))
        return block[:begin] + b"".join(line for line in lines if stamp_of(line[:KEY]))

    def end(self) -> bytes:
        was_inside, rest = self.is_inside, super().end()
        if was_inside or not rest or stamp_of(rest[:KEY]):
            return rest
        self._note(rest)
        return b""

    def stop(self, broken: bool) -> bytes:
        """As drop(), at the end of a stream. What is held back is foreign, unless it may be the beginning of a line."""
        rest = bytes(self._rest[:FOREIGN_BYTES])
        if not broken and not self.is_inside and not stamp_of(rest[:KEY]) and not rest[:1].isdigit():
            self._note(rest)
        return self.drop()

    def _note(self, text: bytes) -> None:
        self.foreign = (self.foreign + text)[:FOREIGN_BYTES]


class StampedLog:
    """Of one container after another; one question at a time, which another thread may cut off."""

    def __init__(self, api: Api, deadline: Deadline) -> None:
        self._api = api
        self._deadline = deadline
        self._stream: Stream | None = None
        self._is_cut = False

    def oldest(self, instance: Instance) -> Stamp | None:
        """The stamp of the first line of the newest file; None where there is none.

        ApiProblem (NotALog where something else came), DeadlineExceeded.
        """
        return stamp_of(self._short(instance, {"limitBytes": str(FIRST_BYTES)}))

    def newest(self, instance: Instance) -> bytes:
        """The newest line, with its end; nothing where there is none. ApiProblem as oldest(), DeadlineExceeded."""
        last = self._short(instance, {"tailLines": "1", "limitBytes": str(LAST_BYTES)})
        return last.rstrip(b"\n") + b"\n" if last else b""

    def prove(self, instance: Instance) -> None:
        """Return if the log can be read, or is empty. ApiProblem as oldest(), DeadlineExceeded."""
        self._short(instance, {"tailLines": "1", "limitBytes": str(FOREIGN_BYTES)})

    def _short(self, instance: Instance, query: dict[str, str]) -> bytes:
        with self.opening(instance, query, ANSWER_SECONDS) as stream:
            data = bytearray()
            for piece in stream.chunks(silence=ANSWER_SECONDS):
                data += piece
                if len(data) > LAST_BYTES:
                    # More than was asked for.
                    break
            self._deadline.check()
            if stream.broken:
                raise ApiProblem(0, "the connection broke while the log was read")
            if data and not stamp_of(bytes(data[:KEY])):
                raise NotALog(bytes(data[:FOREIGN_BYTES]))
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
