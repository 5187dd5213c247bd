# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The profiles of Go's net/http/pprof as data: names, paths, costs, and the only paths that may be requested.

Sources: Go's net/http/pprof (pprof.go) for paths and parameters; cloudpods pkg/appsrv (handlers.go), pkg/webconsole,
pkg/monitor and pkg/scheduler for the handlers they register (catalog.py has them by component). "seconds" on a named
profile requests a difference over that time, and excludes "debug"; "gc" applies to heap only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .capture_names import PROFILE_PREFIX
from .text import did_you_mean

ROOT = "/debug/pprof/"
SYMBOL_PATH = ROOT + "symbol"
# Upper limit for seconds, also with force.
MOST_SECONDS = 600
# Limit for one request to symbol.
MOST_ADDRESSES = 200


@dataclass(frozen=True)
class Kind:
    """One kind of profile.

    path: below ROOT. file: the artifact's name. exact: it has a handler of its own, so it exists even where only exact
    paths are registered. timed: it runs for the requested seconds and occupies a worker all that time. delta: with
    seconds it is the difference over them. debug: its text form, 0 for binary. row: its name in the
    ledger, if it is another one.
    """

    name: str
    path: str
    file: str
    exact: bool = False
    timed: bool = False
    delta: bool = False
    debug: int = 0
    row: str = ""

    @property
    def capture(self) -> str:
        """Return its name in the ledger."""
        return self.row or PROFILE_PREFIX + self.name


# In the order of requests: the cheapest first, and memory profiles before the text of all goroutines, which takes much
# memory and would show in them.
_KINDS = (
    Kind("index", "", "index.txt", exact=True),
    Kind("cmdline", "cmdline", "cmdline.txt", exact=True),
    Kind("symbol", "symbol", "symbol.txt", exact=True),
    Kind("heap", "heap", "heap.pb.gz", delta=True),
    Kind("allocs", "allocs", "allocs.pb.gz", delta=True),
    Kind("goroutine", "goroutine", "goroutine.pb.gz", delta=True),
    Kind("goroutine_debug1", "goroutine", "goroutine-debug1.txt", debug=1),
    Kind("goroutine_debug2", "goroutine", "goroutine-debug2.txt", debug=2),
    Kind("threadcreate", "threadcreate", "threadcreate.pb.gz", delta=True),
    Kind("block", "block", "block.pb.gz", delta=True),
    Kind("mutex", "mutex", "mutex.pb.gz", delta=True),
    Kind("cpu", "profile", "cpu.pb.gz", exact=True, timed=True),
    Kind("trace", "trace", "trace.out", exact=True, timed=True),
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}

SETS: dict[str, tuple[str, ...]] = {
    "quick": ("goroutine", "goroutine_debug1", "goroutine_debug2", "heap"),
    "cpu": ("cpu",),
    "full": tuple(KINDS),
}

_SECONDS = r"[1-9]\d{0,2}"
_NAMED = "|".join(sorted({kind.path for kind in _KINDS if kind.delta} - {"heap"}))
_SAFE = re.compile(
    rf"{ROOT}(?:|cmdline|symbol|(?:profile|trace)\?seconds={_SECONDS}|(?:{_NAMED}|heap)(?:\?seconds={_SECONDS})?"
    rf"|goroutine\?debug=[12]|heap\?(?:seconds={_SECONDS}&)?gc=1)\Z",
    re.ASCII,
)
_ADDRESSES = re.compile(rb"0x[0-9a-f]{1,16}(?:\+0x[0-9a-f]{1,16})*\Z")


def profile_path(kind: str, seconds: int = 0, gc: bool = False) -> str:
    """Return the path of a kind of profile. Raises ValueError for an unknown kind or an unsupported parameter.

    seconds: duration, or time over which the difference is taken.
    """
    if kind not in KINDS:
        near = did_you_mean(kind, KINDS)
        raise ValueError(f"unknown kind of profile '{kind}'{near} The known ones are: {', '.join(KINDS)}")
    known = KINDS[kind]
    words = []
    if seconds:
        words.append(f"seconds={seconds:d}")
    if known.debug:
        words.append(f"debug={known.debug}")
    if gc:
        words.append("gc=1")
    path = ROOT + known.path + ("?" + "&".join(words) if words else "")
    if not is_profile_path(path):
        raise ValueError(f"{kind} cannot be requested with {' and '.join(words) or 'no seconds'}")
    return path


def is_profile_path(path: str) -> bool:
    """Return whether profile_path() can build this path."""
    match = _SAFE.match(path)
    seconds = re.search(r"seconds=(\d+)", path)
    return match is not None and (seconds is None or int(seconds.group(1)) <= MOST_SECONDS)


def is_symbol_request(body: bytes) -> bool:
    """Return whether this is at most MOST_ADDRESSES addresses, joined with "+"."""
    return body.count(b"+") < MOST_ADDRESSES and _ADDRESSES.match(body) is not None
