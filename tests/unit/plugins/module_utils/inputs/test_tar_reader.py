# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read tar archives of every form, also damaged ones."""

from __future__ import annotations

import gzip
import io
import tarfile

from packing import TEXT, read, tar


def test_reports_missing_end_mark(send):
    data = tar({"a": TEXT}).rstrip(b"\0")
    found = read(send(data + bytes(-len(data) % 512)))
    assert found[0] == ("a", TEXT, "")
    assert "its end mark is missing" in found[1][2]


def test_reads_concatenated_archives(send):
    found = read(send(gzip.compress(tar({"a": TEXT})) + gzip.compress(tar({"b": TEXT}))))
    assert found == [("a", TEXT, ""), ("b", TEXT, "")]


def test_reads_names_in_every_form(send):
    long = "folder/" * 40 + "name.txt"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert read(send(tar({long: TEXT, "n\u00e9": b"x"}, format=form))) == [(long, TEXT, ""), ("n\u00e9", b"x", "")]
    prefixed = "f" * 90 + "/" + "n" * 90
    assert read(send(tar({prefixed: TEXT}, format=tarfile.USTAR_FORMAT))) == [(prefixed, TEXT, "")]


def test_reads_size_above_8_gib(send):
    """GNU writes sizes above 8 GiB in base 256, pax in its header."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo("a")
        member.size = 9 << 30
        archive.addfile(member)
    ((place, content, problem), _archive) = read(send(made.getvalue()[:1024]), 1 << 20)
    assert (place, content, "is cut: 9663675904 of its 9663676416 bytes" in problem) == ("a", bytes(512), True)


def test_rejects_sparse_file_and_reads_the_others(send):
    header = tarfile.TarInfo("a")
    header.size = 512
    header.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "real"}
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(header, io.BytesIO(bytes(512)))
        other = tarfile.TarInfo("b")
        other.size = len(TEXT)
        archive.addfile(other, io.BytesIO(TEXT))
    found = read(send(made.getvalue()))
    assert [(place, "sparse" in problem) for place, _content, problem in found] == [("real", True), ("b", False)]
