# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles built for tests that no real profile would fit."""

from __future__ import annotations

import gzip
import random
from typing import Any

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_proto import message_class
from hypothesis import strategies as st

CPU = (("samples", "count"), ("cpu", "nanoseconds"))
HEAP = (("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes"))


class Strings:
    """A string table; its first text is empty."""

    def __init__(self) -> None:
        self.table = [b""]

    def index(self, text: str | bytes) -> int:
        raw = text.encode() if isinstance(text, str) else text
        if raw not in self.table:
            self.table.append(raw)
        return self.table.index(raw)


def make(kind: str, **fields: Any) -> bytes:
    """Return the bytes of one message."""
    return message_class(kind)(**fields).SerializeToString()


def profile(types=CPU, stacks=(), labels=None, **fields: Any) -> bytes:
    """Return an unpacked profile.

    stacks: (values, functions from the innermost; each a name, or several inlined at one location). labels: by the
    number of the stack, {key: text}. fields: message fields that replace the built ones.
    """
    strings = Strings()
    functions: dict[str, int] = {}
    places: dict[tuple[str, ...], int] = {}
    samples = []
    for number, (values, calls) in enumerate(stacks):
        ids = []
        for call in calls:
            inlined = (call,) if isinstance(call, str | bytes) else tuple(call)
            for name in inlined:
                functions.setdefault(name, len(functions) + 1)
            ids.append(places.setdefault(inlined, len(places) + 1))
        own = [
            make("Label", key=strings.index(key), str=strings.index(text))
            for key, text in (labels or {}).get(number, {}).items()
        ]
        samples.append(make("Sample", location_id=ids, value=values, label=own))
    made = {
        "sample_type": [make("ValueType", type=strings.index(kind), unit=strings.index(unit)) for kind, unit in types],
        "sample": samples,
        "location": [
            make(
                "Location",
                id=number,
                address=number * 16,
                line=[make("Line", function_id=functions[name], line=7) for name in place],
            )
            for place, number in places.items()
        ],
        "function": [
            make("Function", id=number, name=strings.index(name), filename=strings.index("/src/x.go"))
            for name, number in functions.items()
        ],
        "duration_nanos": 2_000_000_000,
    }
    return make("Profile", **{**made, "string_table": strings.table, **fields})


def packed(*parts: Any, **fields: Any) -> bytes:
    """Return the profile as the services send it."""
    return gzip.compress(profile(*parts, **fields), mtime=0)


# Stacks with values for the sample types of CPU, for hypothesis.
NAMES = st.text(max_size=12) | st.sampled_from(
    ["</script >", "<!--<script ", "a;b", "\x1b[31m", "main.(*T[...]).f", "\u202e", ""]
)
ANY_STACKS = st.lists(
    st.tuples(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-5, 5)), st.lists(NAMES, max_size=5)), max_size=6
)


def cuts(data: bytes, most: int = 400):
    """Return every truncation of short data; of longer data, those near the ends and some between.

    A text is far longer than a profile, and its parser far slower: there `most` is small.
    """
    lengths = range(len(data))
    if len(data) > most:
        ends = most // 4, most * 3 // 8
        between = random.Random(len(data)).sample(lengths, most - sum(ends))
        lengths = sorted({*lengths[: ends[0]], *lengths[-ends[1] :], *between})
    return [data[:length] for length in lengths]
