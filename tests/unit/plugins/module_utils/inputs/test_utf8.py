# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert texts of any encoding to UTF-8."""

from __future__ import annotations

import gzip

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.inputs import (
    open_inputs,
)
from packing import TEXT, read


@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_removes_marks_of_concatenated_texts(send, pieces):
    for mark, encoding in (("\ufeff", "utf-8"), ("\ufeff", "utf-16-le"), ("\ufeff", "utf-32-be")):
        data = (mark + TEXT.decode()).encode(encoding) * pieces
        assert read(send(data)) == [("", TEXT * pieces, "")]


def test_removes_mark_that_two_reads_split(send):
    mark = b"\xef\xbb\xbf"
    for length in range(1 << 16, (1 << 16) - 6, -1):
        data = mark + b"x" * (length - 3) + mark + b"y" + mark[:2]
        (one,) = open_inputs([send(data)])
        del one
        for found in open_inputs([send(gzip.compress(data))]):
            assert found.open().read(1 << 20) == b"x" * (length - 3) + b"y" + mark[:2]
