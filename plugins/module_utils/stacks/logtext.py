# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process wrote, out of the files that container runtimes wrap it in. Sans-I/O."""

from __future__ import annotations

import json
import re

# The CRI logging format: time, stream, tags (P: the line goes on in the next record; F: it ends here), content.
_CRI = re.compile(rb"(\S+) (stdout|stderr) ([A-Z:]+) (.*)", re.DOTALL)


class Unwrapper:
    """Fed with a file as it grows, gives the text that was written.

    form: "cri" (/var/log/pods), "docker" (json-file driver).
    stream: "stderr", "stdout", or None for both.
    stamped: whether the runtime's stamp and a blank come before each line.
    A record that is not well-formed is given as it is: losing it would be worse.
    """

    def __init__(self, form: str, stream: str | None = "stderr", stamped: bool = False) -> None:
        self._unwrap = {"cri": self._cri, "docker": self._docker}[form]
        self._stream = stream
        self._stamped = stamped
        self._inside = False
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """The text of the records that are whole by now; b"" is the end of input and gives what is left."""
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
        stamp, stream, tags, text = match.groups()
        if self._stream not in (None, stream.decode()):
            return b""
        return self._line(stamp, text[:-1] if tags.split(b":")[0] == b"P" and text.endswith(b"\n") else text)

    def _docker(self, line: bytes) -> bytes:
        try:
            record = json.loads(line)
            text = record["log"].encode("utf-8", "replace")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return line
        if self._stream not in (None, record.get("stream")):
            return b""
        return self._line(str(record.get("time")).encode("utf-8", "replace"), text)

    def _line(self, stamp: bytes, text: bytes) -> bytes:
        """The text of a record, which is a line or a piece of one."""
        inside, self._inside = self._inside, not text.endswith(b"\n")
        return stamp + b" " + text if self._stamped and not inside else text
