# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles made here, where a real one would not have what a test is about."""

from __future__ import annotations

import gzip
from typing import Any

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_proto import message_class
from hypothesis import strategies as st

CPU = (("samples", "count"), ("cpu", "nanoseconds"))
HEAP = (("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes"))


class Strings:
    """A table of texts, the first of which is empty."""

    def __init__(self) -> None:
        self.table = [b""]

    def index(self, text: str | bytes) -> int:
        raw = text.encode() if isinstance(text, str) else text
        if raw not in self.table:
            self.table.append(raw)
        return self.table.index(raw)


def make(kind: str, **fields: Any) -> bytes:
    """The bytes of one message."""
    return message_class(kind)(**fields).SerializeToString()


def profile(types=CPU, stacks=(), labels=None, **fields: Any) -> bytes:
    """An unpacked profile. stacks: (values, functions from the innermost, each a name, or several inlined in a place).

    labels: by the number of the stack, {key: text}. fields: others of the message, in place of what is made.
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
    """The same as the services send it."""
    return gzip.compress(profile(*parts, **fields), mtime=0)


# Stacks with values for the sample types of CPU, for hypothesis.
NAMES = st.text(max_size=12) | st.sampled_from(
    ["</script >", "<!--<script ", "a;b", "\x1b[31m", "main.(*T[...]).f", "\u202e", ""]
)
ANY_STACKS = st.lists(
    st.tuples(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-5, 5)), st.lists(NAMES, max_size=5)), max_size=6
)
