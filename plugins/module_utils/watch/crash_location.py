# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Location of a crash in the code, from the stack trace that follows its line. Pure; bounded.

Go prints a goroutine's frames innermost first: a line with the function and its arguments, then a line with the file
(runtime/traceback.go). Frames above panic() handle the panic, so they are not its location.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..sanitize import clean

MAX_LINES = 80
_LONGEST = 2000
_CALL = re.compile(r"(.+?)\([^()]*\)$")
_FILE = re.compile(r"\s+(?:\S*/)?([^/\s:]+:\d+)(?: \+0x[0-9a-f]+)?$")
_SIGNAL = re.compile(r"\[signal [^\]]{1,200}\]")
_OF_RUNTIME = ("runtime.", "runtime/", "panic", "created by ")
_OWN = ("yunion.io/x/", "main.")


@dataclass
class CrashLocation:
    """The location of a crash, read from the lines after it. wanted: the number of lines still to read.

    signal: the signal that caused the crash, as Go prints it. frames: (function, file:line) of the innermost function
    outside of the runtime, and of the innermost one of Cloudpods if that is another function.
    """

    wanted: int = MAX_LINES
    signal: str = ""
    frames: list[tuple[str, str]] = field(default_factory=list)
    _inside: bool = False
    _has_frames: bool = False
    _call: str = ""

    def add_line(self, text: str) -> None:
        """Read the next line after the crash."""
        self.wanted -= 1
        text = text[:_LONGEST]
        if text.startswith("goroutine ") or (self._inside and not text.strip()):
            # The crashed goroutine comes first and ends with an empty line. Text without frames is part of the message.
            self.wanted = 0 if self._has_frames else self.wanted
            self._inside = True
        elif self._inside:
            self._frame(text)
        elif not self.signal:
            found = _SIGNAL.match(text)
            self.signal = clean(found.group()) if found else ""

    def _frame(self, text: str) -> None:
        call, file = _CALL.match(text), _FILE.match(text)
        if file is None:
            self._call = call.group(1) if call else ""
            return
        self._has_frames = True
        name, self._call = self._call, ""
        if name == "panic" or name.startswith("runtime.panic"):
            self.frames.clear()
        elif self._is_wanted(name):
            self.frames.append((clean(name, 200), clean(file.group(1), 100)))

    def _is_wanted(self, name: str) -> bool:
        if not name or name.startswith(_OF_RUNTIME):
            return False
        return not self.frames or (
            len(self.frames) == 1 and name.startswith(_OWN) and not self.frames[0][0].startswith(_OWN)
        )

    @property
    def text(self) -> str:
        """The location for people: "in models.(*SGuest).GetHost (guests.go:1201)"; "" without frames."""
        frames = [f"{name.rpartition('/')[2]} ({file})" for name, file in self.frames]
        where = "in " + ", called by ".join(frames) if frames else ""
        return " ".join(part for part in (self.signal, where) if part)
