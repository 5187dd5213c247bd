# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `complete` proves of a debug=1 dump, by changing each byte and taking away each line of one.

README.md tells it to users: every goroutine is there, with the address of each frame that is shown. A label, the text
of a frame that is there once, and an address that Go does not show may be other ones than the service wrote.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.model import Dump
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from dumps import CORPUS, REGION1

ROW = re.compile(rb"#\t0x([0-9a-f]+)\t+(.*)\n")


def short(text: bytes) -> bytes:
    """Return the dump with every third block, the block of its writer, and the matching total."""
    blocks = text.split(b"\n", 1)[1].split(b"\n\n")[:-1]
    blocks = [block for number, block in enumerate(blocks) if number % 3 == 0 or b"runtime/pprof." in block]
    total = sum(int(block.split(b" ", 1)[0]) for block in blocks)
    return b"goroutine profile: total %d\n" % total + b"".join(block + b"\n\n" for block in blocks)


DUMPS = {name: short(text) for name, text in {"region": REGION1, "go1.27": CORPUS["go1.27/debug1"]}.items()}


def complete(text: bytes) -> Dump | None:
    """Return the dump if it is complete."""
    (found, *_others) = [*parse(text).dumps, None]
    return found if found is not None and found.complete else None


def counts(dump: Dump) -> list[int]:
    return [group.count for group in dump.groups]


@pytest.mark.parametrize("text", DUMPS.values(), ids=DUMPS)
def test_detects_missing_line_except_labels_and_first_frames(text):
    whole = complete(text)
    assert whole is not None
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        found = complete(b"".join(lines[:number] + lines[number + 1 :]))
        if found is None:
            continue
        assert counts(found) == counts(whole)
        # Go hides the runtime's own frames at the beginning, so one more hidden frame cannot be detected.
        assert line.startswith(b"# labels: ") or (ROW.match(line) and not ROW.match(lines[number - 1])), line


@pytest.mark.parametrize("text", DUMPS.values(), ids=DUMPS)
def test_changed_byte_changes_no_goroutine_of_a_complete_dump(text):
    whole = complete(text)
    assert whole is not None
    lines = text.splitlines(keepends=True)
    rows = Counter(match.group(1) for match in map(ROW.match, lines) if match)
    start = 0
    for number, line in enumerate(lines):
        for position in range(len(line)):
            changed = text[: start + position] + bytes([line[position] ^ 1]) + text[start + position + 1 :]
            found = complete(changed)
            if found is None:
                continue
            assert counts(found) == counts(whole), (number, position)
            match = ROW.match(line)
            if match is None:
                assert b" @ 0x" in line or line.startswith(b"# labels: "), line
            elif ROW.match(lines[number - 1]):  # else it may pass for somebody's text, and for a frame that Go hid
                assert rows[match.group(1)] == 1, line
                assert position >= match.start(2), line
        start += len(line)
