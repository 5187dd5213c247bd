# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unwrap what a process wrote from the log files of container runtimes. Sans-I/O."""

from __future__ import annotations

import json
import re

# The CRI logging format: time, stream, tags (P: the line goes on in the next record; F: it ends here), content.
_CRI = re.compile(rb"(\S+) (stdout|stderr) ([A-Z:]+) (.*)", re.DOTALL)


class RuntimeLogUnwrapper:
    """Return the text that a process wrote, while a runtime's log file is fed as it grows.

    form: "cri" (/var/log/pods), "docker" (json-file driver).
    stream: "stderr", "stdout", or None for both.
    with_timestamps: put the runtime's timestamp and a blank before each line.
    A malformed record is returned as it is: losing it would be worse.
    """

    def __init__(self, form: str, stream: str | None = "stderr", with_timestamps: bool = False) -> None:
        self._unwrap = {"cri": self._cri, "docker": self._docker}[form]
        self._stream = stream
        self._with_timestamps = with_timestamps
        self._inside = False
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the text of the records that are complete by now; b"" ends the input and returns the rest."""
        if not data:
            rest, self._rest = self._rest, b""
            return self._unwrap(rest) if rest else b""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        return b"".join(self._unwrap(line + b"\n") for line in lines)

    def _cri(self, line: bytes) -> bytes:
        match = _CRI.fullmatch(line)
        if match is None:
            return line
        timestamp, stream, tags, text = match.groups()
        if self._stream not in (None, stream.decode()):
            return b""
        return self._line(timestamp, text[:-1] if tags.split(b":")[0] == b"P" and text.endswith(b"\n") else text)

    def _docker(self, line: bytes) -> bytes:
        try:
            record = json.loads(line)
            text = record["log"].encode("utf-8", "replace")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return line
        if self._stream not in (None, record.get("stream")):
            return b""
        return self._line(str(record.get("time")).encode("utf-8", "replace"), text)

    def _line(self, timestamp: bytes, text: bytes) -> bytes:
        # A record holds a line or a piece of one.
        inside, self._inside = self._inside, not text.endswith(b"\n")
        return timestamp + b" " + text if self._with_timestamps and not inside else text
