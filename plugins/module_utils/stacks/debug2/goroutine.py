# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of one goroutine as the Go runtime prints it: in debug=2 profiles, in fatal dumps, by debug.Stack().

    goroutine 18 gp=0xc0001 m=2 mp=0xc0002 [chan receive (nil chan), 5 minutes, locked to thread]:
    main.(*T).wait(0xc000012345, {0x1, 0x2}, ...)
    <tab>/src/main.go:12 +0x1f fp=0xc01 sp=0xc02 pc=0x4001
    created by main.main in goroutine 1
    <tab>/src/main.go:7 +0x2c
    <empty line>

Source: runtime/traceback.go (goroutineheader, traceback2, printcreatedby1, printAncestorTraceback,
printOneCgoTraceback). Labels are after the brackets since Go 1.27, and inside them in Go 1.26
(GODEBUG=tracebacklabels=1):

    goroutine 18 [chan receive, 5 minutes labels:{"key": "value"}]:

Other new words in a header (`synctest bubble 1`, `(durable)`, `(leaked)`) are kept as text and never cause an error.
"""

from __future__ import annotations

import re

from ..debug1.blocks import LOG_LINE, QUOTED
from ..debug1.grouping import text, unquote
from ..model import Frame

MARK = b"goroutine "
MOST_DIGITS = 18  # Go writes no longer numbers, and Python refuses to convert very long ones
HEADER = re.compile(rb"goroutine (\d{1,18})((?: \w+=\w+)*) \[([^\n]*?)\](?: \{([^\n]*)\})?:$")
LIKE_HEADER = re.compile(rb"goroutine (\d{1,18})(?: \w+=\w+)* \[")
_LOCATION = re.compile(
    rb"\t([^\n]+):(\d{1,18})(?: \+0x[0-9a-f]+)?(?: fp=0x[0-9a-f]+ sp=0x[0-9a-f]+)?(?: pc=0x[0-9a-f]+)?$"
)
# A C function's location has no offset, and its line no parentheses (printOneCgoTraceback).
_C_LOCATION = re.compile(rb"\t[^\n]+:\d{1,18} pc=0x[0-9a-f]+$")
_C_FUNCTION = re.compile(rb"[^\s\[{\x1b][^\t\n]*$")
# A call whose line is cut within its arguments.
_CUT_CALL = re.compile(rb"([^\s(][^\t\n]*)\([0-9a-fx,{}.?_ ]*$")
_UNAVAILABLE = b"\tgoroutine running on other thread; stack unavailable"
_CREATED = re.compile(rb"created by (.+?)(?: in goroutine \d+)?$")
_ELIDED = re.compile(rb"\.\.\.(?:additional|\d+) frames elided\.\.\.$")
_ANCESTOR = re.compile(rb"\[originating from goroutine \d+\]:$")
_NOT_GO = re.compile(rb"non-Go function(?: at pc=0x[0-9a-f]+)?$")
# Arguments as printArgs writes them. A line with other arguments is a call only if its location follows.
_CALL = re.compile(rb"[^\s(][^\t\n]*\([0-9a-fx,{}.?_ ]*\)$")
# Printed by gentraceback and traceback1 between the lines of a goroutine whose stack they cannot walk: a message,
# the bounds of the frame and its hex dump (runtime/traceback.go: hexdumpWords, "unexpected return pc").
_TROUBLE = re.compile(
    rb"runtime: g ?\d+: |runtime: traceback |stack: frame=\{|(?:0x)?[0-9a-f]{8,16}: +[<>=!*+0-9a-fx]"
    rb"|runtime: (?:frame|sp|pc|g\d*)[ =:]"
)
_TROUBLE_BEGINS = b"rs0123456789abcdef"
_LABELS_INSIDE = re.compile(rb"(.*?) labels:\{(.*)\}$")
_MINUTES = re.compile(r"(\d{1,18}) minutes$")
_LABEL = re.compile(rb"(%s|[A-Za-z0-9./_]*): (%s|[A-Za-z0-9./_]*)" % (QUOTED, QUOTED))
# The last call of a goroutine without a shown creator: main's, the runtime's own, or an unknown one.
_OUTERMOST = re.compile(r"runtime\.|main\.main$|.*\.init(?:\.\d+)?$|\.\.\.|non-Go function")
# The second half of a line that was broken in two: of a call, of a location, and of a line `created by`.
_NO_BLANKS = re.compile(rb"\S+")
_REST_OF_NUMBER = re.compile(rb"\d{1,9}(?: \+0x[0-9a-f]+)?")
_REST_OF_CREATOR = re.compile(rb"\S+|.*goroutine \d+|\w{0,8} \d+")
# These functions print their own goroutine's stack, outside of any dump.
_PRINTERS = ("runtime/debug.Stack", "runtime/debug.PrintStack")
# Prefixes of problems which mean that a line within a stack is missing or cannot be read.
GAPS = ("the location of ", "the call at ")


class Goroutine:
    """One goroutine, read line by line."""

    def __init__(self, header: re.Match[bytes], offset: int = 0) -> None:
        self.id = header.group(1)
        self.has_pointers = bool(header.group(2))
        self.offset = offset  # of its header in the input
        state, self.labels = header.group(3), header.group(4)
        inside = _LABELS_INSIDE.match(state) if b" labels:{" in state else None
        if inside is not None:
            state, self.labels = inside.groups()
        self.state, self.wait = _state(text(state))
        self.frames: list[Frame] = []
        self.created_by: Frame | None = None
        self.ended = False  # no more lines of it can follow
        self.problems: list[str] = []
        self.doubts: list[str] = []
        self._call: bytes | None = None  # a function whose location must come next
        self._sure = False  # the line can only be a call
        self._creator = False
        self._in_ancestor = False
        self._unknown: bytes | None = None  # the previous line, if it was no line of a stack

    @property
    def waits_for_location(self) -> bool:
        return self._call is not None and self._sure

    @property
    def is_whole(self) -> bool:
        """Return whether no location is pending."""
        return self._call is None

    @property
    def printed_itself(self) -> bool:
        return bool(self.frames) and self.frames[0].function in _PRINTERS

    @property
    def writes_profile(self) -> bool:
        """Return whether this goroutine writes a profile: a whole dump was requested."""
        return bool(self.frames) and self.frames[0].function.startswith("runtime/pprof.")

    @property
    def is_main(self) -> bool:
        """Return whether its last call is main.main, with which a program begins."""
        return self.is_whole and bool(self.frames) and self.frames[-1].function == "main.main"

    @property
    def is_running(self) -> bool:
        return self.state.partition(",")[0] == "running"

    @property
    def key(self) -> tuple[object, ...]:
        return self.state, tuple(self.frames), self.created_by, self.labels

    def add_line(self, line: bytes) -> bool:
        """Take a line, without its newline, if it continues this goroutine; False if it is other text."""
        is_taken = self._add_line(line)
        self._unknown = None if is_taken else line
        if not is_taken and self._call is None and self.frames and _REST_OF_NUMBER.fullmatch(line):
            self.problems.append("the location of " + self.frames[-1].function + " may be cut: a line is broken")
        return is_taken

    def _add_line(self, line: bytes) -> bool:
        if line.startswith(b"\t"):
            return self._add_location(line)
        if _ANCESTOR.match(line):
            self._in_ancestor = True
            return True
        if self.ended and not self._in_ancestor:
            return False
        if line.startswith(b"created by "):
            match = _CREATED.match(line)
            if match is not None:
                self._begin_call(match.group(1), True)
                self._creator = True
            return match is not None
        if line.endswith(b")"):
            return self._add_call(line)
        if _ELIDED.match(line) or _NOT_GO.match(line):
            self._begin_call(None, True)
            self.frames.append(Frame(text(line), "", 0))
            return True
        return line[:1] in _TROUBLE_BEGINS and _TROUBLE.match(line) is not None and self._note_trouble(line)

    def _note_trouble(self, line: bytes) -> bool:
        if line.startswith(b"runtime: "):
            self.doubts.append("the runtime could not read the whole stack: " + text(line[:200]))
        return True

    def _add_call(self, line: bytes) -> bool:
        sure = _CALL.match(line) is not None
        name, parenthesis, _arguments = line.rpartition(b"(")
        if not name or not parenthesis or LOG_LINE.match(line) or (self.waits_for_location and not sure):
            return False
        self._begin_call(name, sure)
        return True

    def _begin_call(self, name: bytes | None, sure: bool) -> None:
        before = self._unknown or self._call
        if self.waits_for_location:
            self.problems.append("the location of " + text(self._call or b"") + " is missing")
        elif name and before and _NO_BLANKS.fullmatch(before) and not LOG_LINE.match(before):
            self.problems.append("the call at a broken line may not be whole: " + text(name))
        self._call, self._sure, self._creator = name, sure, False

    def _add_location(self, line: bytes) -> bool:
        if line == _UNAVAILABLE:
            return True
        match = _LOCATION.match(line)
        if match is None:
            return False
        if self._call is None:
            if self.frames and self.frames[-1].function == "non-Go function" and not self.frames[-1].file:
                self.frames[-1] = Frame(self.frames[-1].function, text(match.group(1)), int(match.group(2)))
                return True
            if self.ended:
                return False
            self._call = self._call_before(line)
        frame = Frame(text(self._call), text(match.group(1)), int(match.group(2)))
        self._call = None
        if self._in_ancestor:
            return True
        if self._creator:
            self._end_with(frame)
        else:
            self.frames.append(frame)
        return True

    def _end_with(self, creator: Frame) -> None:
        if self._unknown and _REST_OF_CREATOR.fullmatch(self._unknown):
            self.problems.append("the call at a broken line may not be whole: " + creator.function)
        self.created_by = creator
        self.ended = True

    def _call_before(self, location: bytes) -> bytes:
        """Return the function at a location without a call before it: a C function, or a damaged line."""
        before = self._unknown or b""
        if _C_LOCATION.match(location) and _C_FUNCTION.match(before) and not LOG_LINE.match(before):
            return before
        cut = _CUT_CALL.match(before)
        place = text(location[1:].partition(b" ")[0])
        if cut is not None and not LOG_LINE.match(before):
            self.problems.append(f"the call at {place} is cut")
            return cut.group(1)
        self.problems.append(f"the call at {place} is missing")
        return b"?"

    def finish(self) -> list[str]:
        """End the goroutine and return its problems."""
        self._begin_call(None, False)
        return self.problems

    def seems_cut(self) -> bool:
        """Return whether no goroutine begins with its outermost call.

        Then it may continue after the end of the input.
        """
        return self.created_by is None and not (self.frames and _OUTERMOST.match(self.frames[-1].function))


def read_clean(block: bytes) -> Goroutine | None:
    """Return the goroutine of a block that is complete and has no other text in it; None for any other text."""
    lines = block.split(b"\n")
    header = HEADER.match(lines[0])
    if header is None:
        return None
    goroutine = Goroutine(header)
    for line in lines[1:]:
        if not goroutine.add_line(line):
            return None
    return goroutine if goroutine.is_whole and not goroutine.problems else None


def _state(words: str) -> tuple[str, int]:
    """Split a state from what changes by itself (minutes, a garbage collector's scan); return it and the minutes."""
    parts = words.split(", ")
    minutes = 0
    kept = []
    for part in parts:
        match = _MINUTES.match(part)
        if match is None:
            kept.append(part.replace(" (scan)", ""))
        else:
            minutes = int(match.group(1))
    return ", ".join(kept), minutes


def labels_of_header(labels: bytes | None) -> dict[str, str]:
    """Parse the labels of a header: {key: value, "quoted key": "quoted value"}."""
    return {_word(key): _word(value) for key, value in _LABEL.findall(labels or b"")}


def _word(word: bytes) -> str:
    return unquote(word) if word.startswith(b'"') else text(word)
