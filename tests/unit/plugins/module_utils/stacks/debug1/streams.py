# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of a log with a debug=1 dump in it, for hypothesis."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.reader import DumpReader
from dumps import CORPUS, LOG, PRINTED, REGION1, cells, interleave
from hypothesis import settings
from hypothesis import strategies as st

from fuzzing import examples

DUMPS = [data for name, data in CORPUS.items() if name.endswith("debug1")] + [REGION1]


SLOW = settings(max_examples=examples(150))


USUAL = [
    LOG,
    b"[warning 2026-11-23 00:22:28 appsrv.(*SWorkerManager).run(workers.go:329)] queue [x] busy\n",
    b"[I 261123 00:22:28 main.main(main.go:1)] two\nlines\n",
    b"[mysql] 2026/11/22 16:08:10 packets.go:37: unexpected EOF\n",
    b"\x1b[33m[W 2026-11-23 00:22:28 main.main(main.go:1)]\x1b[0m colours\n",
    b"[error 2026-11-23 00:22:28 httperrors.(*E).Send(httperrors.go:110)] Send error\n" + PRINTED,
]


SHORT = b"goroutine profile: total 1\n1 @ 0x3\n#\t0x3\tmain.other+0x1\t/x.go:2\n\n"


# Text that could be a part of a dump. (Two cases are left out: labels after the head of a block without labels cannot
# be told from real ones, and text after the last frame is not awaited.)
NASTY = [
    b"\n",
    b"\n\n",
    b"0\n",
    b"12\n",
    b"#\n",
    b"#\t0x1\tmain.other+0x1\t/x.go:1\n",
    b"1 @ 0x1 0x2\n",
    b"\t\n",
    b"\t\t/x.go:77\n",
    b"/x.go:5\n",
    b"main.main+0x12\n",
    b"0x47\n",
    b"abc\n",
    b"5f\n",
    b"2026-11-23 00:22:28 plain\n",
    b"2026/11/23 00:22:28 standard\n",
    b"goroutine profile: total 3\n",
    SHORT,
]


@st.composite
def streams(draw: st.DrawFn, texts: list[bytes]) -> tuple[bytes, bytes, list[bytes]]:
    """Return a dump, a stream with the dump in it, and the other texts of the stream."""
    dump = draw(st.sampled_from(DUMPS))
    last = len(cells(dump)) - 10
    places = draw(st.lists(st.integers(1, last), max_size=40, unique=True))
    most = 3 if texts is USUAL else 1
    inserted = {place: b"".join(draw(st.lists(st.sampled_from(texts), min_size=1, max_size=most))) for place in places}
    return dump, interleave(dump, inserted), [inserted[place] for place in sorted(inserted)]


def read(stream: bytes) -> DumpReader:
    reader = DumpReader()
    reader.feed(stream)
    reader.feed(b"")
    return reader
