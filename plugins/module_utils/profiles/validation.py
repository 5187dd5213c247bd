# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide whether an answer of /debug/pprof is complete. Never raises for any bytes.

Only what the bytes show is claimed. cmdline and a goroutine profile with debug=2 have no end mark, and a trace that is
cut exactly at the end of a generation is a complete shorter one. For these the caller has to know that the HTTP answer
was complete.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import Any, Callable

from ..inputs.containers import HEAD
from ..inputs.signatures import is_profile, signature_of
from ..reasons import Reason, Status, Verdict, verdict
from ..sanitize import escaped
from ..stacks.parse import parse
from ..text import counted, size
from . import execution_trace
from .model import Profile, ProfileError, ProfileLimits, ProfileTooLarge
from .pprof_proto import ProtobufMissing
from .pprof_reader import read
from .unpack import Unpacked, unpack

# The names of the sample types of each kind.
COUNTS: dict[str, frozenset[str]] = {
    "cpu": frozenset(("samples", "cpu")),
    "heap": frozenset(("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")),
    "allocs": frozenset(("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")),
    "goroutine": frozenset(("goroutine",)),
    "threadcreate": frozenset(("threadcreate",)),
    "block": frozenset(("contentions", "delay")),
    "mutex": frozenset(("contentions", "delay")),
    # Goroutines that nothing can wake: Go 1.26 with GOEXPERIMENT=goroutineleakprofile, Go 1.27 always.
    "goroutineleak": frozenset(("goroutineleak",)),
}
_EMPTY = {
    "cpu": "no function was seen on a processor while it was taken: the process was idle",
    "block": "the services never switch such profiles on (runtime.SetBlockProfileRate), so there is nothing",
    "mutex": "the services never switch such profiles on (runtime.SetMutexProfileFraction), so there is nothing",
    "goroutineleak": "no goroutine was found that nothing can wake any more",
}
_NO_CHANGE = "no stack is in it; a difference over some seconds is empty where nothing changed"
_MOST_DEBUG2 = 64 << 20  # net/http/pprof writes no more of it
_LAST_FRAME = re.compile(rb"\n(created by |main\.main\()[^\n]*\n\t[^\n]+:\d+(?: \+0x[0-9a-f]+)?\n\Z")
# A row of the table in the index (Go's net/http/pprof, indexTmplExecute).
_LISTED = re.compile(rb"<tr><td>(\d{1,18})</td><td><a href=[^>]{1,100}>([a-z_]{1,40})</a>")
# Go itself has seven; a program may add more.
MAX_LISTED = 50
_ADDRESSES = re.compile(rb"num_symbols: \d+\n(?:0x[0-9a-f]+ [^\n]*\n)*")


@dataclass(frozen=True)
class Validation:
    """A reason, its message for people, and details as plain JSON values.

    details of a profile: sample_types [[type, unit], ...], samples, stacks, totals [one per type], duration (seconds),
    time (nanoseconds since 1970), notes. Of a trace: go (its format), batches (or events), generations. Of a goroutine
    dump: total (debug=1), goroutines, groups.
    """

    reason: Reason
    message: str
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        return self.verdict.status

    @property
    def verdict(self) -> Verdict:
        return Verdict(self.reason, self.message)


def validate(kind: str, data: bytes, limits: ProfileLimits | None = None) -> Validation:
    """Validate an answer of /debug/pprof. Raises ValueError for an unknown kind.

    kind: one of COUNTS, or goroutine_debug1, goroutine_debug2, trace, cmdline, index, symbol.
    """
    if kind in COUNTS:
        return validate_profile(kind, data, limits or ProfileLimits())[0]
    if kind not in _OTHERS:
        raise ValueError(f"there is no kind of profile {kind}")
    if not data:
        return _validation(Reason.PROFILE_CUT, "the answer is empty")
    return _OTHERS[kind](data)


def validate_profile(kind: str, data: bytes, limits: ProfileLimits) -> tuple[Validation, Profile | None]:
    """Validate a profile and return it too, if it could be read.

    data: as the service sends it. kind: "" for any.
    """
    return validate_unpacked(kind, unpack(data, limits.content), limits)


def validate_unpacked(kind: str, unpacked: Unpacked, limits: ProfileLimits) -> tuple[Validation, Profile | None]:
    """Validate content that has been unpacked."""
    if unpacked.is_cut or not (unpacked.content or unpacked.problem or unpacked.is_packed):
        return _validation(Reason.PROFILE_CUT, unpacked.problem or "it is empty"), None
    if unpacked.is_too_large:
        return _validation(Reason.PROFILE_TOO_LARGE, unpacked.problem), None
    try:
        profile = read(unpacked.content, limits)
    except ProtobufMissing as missing:
        return _unread(unpacked, missing), None
    except ProfileTooLarge as error:
        return _validation(Reason.PROFILE_TOO_LARGE, str(error)), None
    except ProfileError as error:
        return _validation(Reason.PROFILE_BAD, unpacked.problem or _format_name(unpacked) or str(error)), None
    return Validation(*_verdict_of(kind, unpacked, profile), details_of(profile)), profile


def _verdict_of(kind: str, unpacked: Unpacked, profile: Profile) -> tuple[Reason, str]:
    """Return reason and message for a profile that was read to its end."""
    if unpacked.problem:
        return _with_message(Reason.PROFILE_BAD, unpacked.problem)
    if kind and {one.type for one in profile.sample_types} != COUNTS[kind]:
        counts = ", ".join(escaped(one.type) for one in profile.sample_types[:8])
        return _with_message(Reason.PROFILE_BAD, f"it is no profile of {kind}: it counts {counts}")
    if profile.stacks:
        reason, message = Reason.PROFILE_WHOLE, counted(len(profile.stacks), "sample")
    else:
        reason, message = Reason.PROFILE_EMPTY, _EMPTY.get(kind or kind_of(profile), _NO_CHANGE)
    return _with_message(reason if unpacked.is_packed else Reason.PROFILE_UNPROVEN, message)


def details_of(profile: Profile) -> dict[str, Any]:
    """Return the details of a profile for a ledger row, as plain values."""
    return {
        "sample_types": [[escaped(text) for text in kind] for kind in profile.sample_types],
        "samples": len(profile.stacks),
        "stacks": len(set(profile.stacks)),
        "totals": [sum(map(abs, column)) for column in profile.values],
        "duration": round(profile.duration / 1e9, 3),
        "time": profile.time,
        "notes": list(profile.notes),
    }


def kind_of(profile: Profile) -> str:
    """Return the kind with these sample types; heap for allocs, block for mutex, which look alike; "" for any other."""
    counted = {one.type for one in profile.sample_types}
    return next((kind for kind, counts in COUNTS.items() if counts == counted), "")


def _format_name(unpacked: Unpacked) -> str:
    """Return a text that names content which is no profile; "" if it is unknown."""
    if is_profile(unpacked.content[:HEAD]):
        return ""
    signature = signature_of(unpacked.content[:HEAD])
    if signature:
        return f"it is {signature.text}"
    return "" if unpacked.is_packed else f"it is not compressed, and begins with {unpacked.content[:16]!r}"


def _unread(unpacked: Unpacked, missing: ProtobufMissing) -> Validation:
    if unpacked.problem or not (unpacked.is_packed or is_profile(unpacked.content[:HEAD])):
        return _validation(Reason.PROFILE_BAD, unpacked.problem or _format_name(unpacked))
    return _validation(Reason.NOT_READ_HERE if unpacked.is_packed else Reason.PROFILE_UNPROVEN, str(missing))


def _with_message(reason: Reason, detail: str) -> tuple[Reason, str]:
    return reason, verdict(reason, detail).message


def _validation(reason: Reason, detail: str, details: dict[str, Any] | None = None) -> Validation:
    return Validation(*_with_message(reason, detail), details or {})


def _debug1(data: bytes) -> Validation:
    found = parse(data)
    dump = found.dumps[0] if found.dumps else None
    if dump is None or dump.form != "debug1" or len(found.dumps) > 1:
        return _validation(Reason.PROFILE_BAD, "it is not one dump of goroutines with their total")
    details = {"total": dump.total, "goroutines": dump.goroutines, "groups": len(dump.groups)}
    if dump.complete:
        return _validation(Reason.PROVEN, "", details)
    seen = f"{dump.goroutines} of {dump.total} goroutines are there"
    return _validation(Reason.PROFILE_CUT if dump.goroutines < (dump.total or 0) else Reason.DAMAGED, seen, details)


def _debug2(data: bytes) -> Validation:
    found = parse(data)
    dump = found.dumps[0] if found.dumps else None
    # The parser takes a single goroutine for a stack in a log.
    if dump is None or dump.form not in ("debug2", "stack") or len(found.dumps) > 1:
        return _validation(Reason.PROFILE_BAD, "it is not one dump of goroutines with their states")
    details = {"goroutines": dump.goroutines, "groups": len(dump.groups)}
    if len(data) >= _MOST_DEBUG2:
        return _validation(Reason.PROFILE_CUT, f"the service writes no more than {size(_MOST_DEBUG2)} of it", details)
    if _LAST_FRAME.search(data[-8192:]) is None:
        return _validation(Reason.PROFILE_CUT, f"after {dump.goroutines} goroutines the last one does not end", details)
    if dump.complete is False or found.errors:
        errors = [error.message for error in (*dump.errors, *found.errors)]
        return _validation(Reason.DAMAGED, errors[0] if errors else "", details)
    message = f"{dump.goroutines} goroutines, the last of which ends well (their total is not stated)"
    return _validation(Reason.PROFILE_WHOLE, message, details)


def _trace(data: bytes) -> Validation:
    try:
        found = execution_trace.check(data)
    except execution_trace.TraceCut as error:
        return _validation(Reason.PROFILE_CUT, str(error))
    except execution_trace.TraceBad as error:
        return _validation(Reason.PROFILE_BAD, str(error))
    message = f"{found.parts} {found.unit} in the format of Go {found.version}"
    details = {"go": found.version, found.unit: found.parts, "generations": found.generations}
    return _validation(Reason.PROFILE_WHOLE, message, details)


def _cmdline(data: bytes) -> Validation:
    return _validation(Reason.RECORDED, "", {"arguments": data.count(b"\0") + 1})


def _index(data: bytes) -> Validation:
    if b"/debug/pprof/" not in data[:4096]:
        return _validation(Reason.PROFILE_BAD, "it is not the index of pprof")
    if not data.rstrip().endswith(b"</html>"):
        return _validation(Reason.PROFILE_CUT, "the page does not end")
    return _validation(Reason.RECORDED, "", {"profiles": listed(data)})


def listed(data: bytes) -> dict[str, int]:
    """Return the profiles that the index lists, at most MAX_LISTED, each with its count of stacks or the like."""
    rows = itertools.islice(_LISTED.finditer(data), MAX_LISTED)
    return {row.group(2).decode(): int(row.group(1)) for row in rows}


def index_text(data: bytes) -> bytes:
    """Return the list of profiles as text. The page itself is not kept, since its links lead nowhere in a bundle."""
    lines = [f"{count:>10}  {name}" for name, count in listed(data).items()]
    return "\n".join([f"{'count':>10}  profile", *lines, ""]).encode()


def _symbol(data: bytes) -> Validation:
    if _ADDRESSES.fullmatch(data):
        return _validation(Reason.RECORDED, "", {"names": data.count(b"\n") - 1})
    if not data.endswith(b"\n") and b"num_symbols: ".startswith(data[:13]):
        return _validation(Reason.PROFILE_CUT, "its last line does not end")
    return _validation(Reason.PROFILE_BAD, "it is not an answer of symbol")


_OTHERS: dict[str, Callable[[bytes], Validation]] = {
    "goroutine_debug1": _debug1,
    "goroutine_debug2": _debug2,
    "trace": _trace,
    "cmdline": _cmdline,
    "index": _index,
    "symbol": _symbol,
}
KINDS = (*COUNTS, *_OTHERS)
