# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real dumps, independent counts of their goroutines, and log lines to insert."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
# Every form of every Go version, and dumps of a service.
CORPUS = {f"{path.parent.name}/{path.stem}": path.read_bytes() for path in sorted((HERE / "corpus").glob("go*/*.txt"))}
HEALTHY = Path(__file__).parents[3] / "fixtures" / "region-healthy"
REGION1 = (HEALTHY / "dump.log").read_bytes()
REGION2 = (HEALTHY / "pprof_goroutine2").read_bytes()
LOG = b"[info 2026-11-23 00:22:28 appsrv.(*Application).ServeHTTP(appsrv.go:212)] 200 3f2a GET /v1 (10.0.0.1) 3ms\n"
PRINTED = CORPUS["go1.27/stack"]  # what a service logs of an error, with debug.Stack()'s text
# text/tabwriter writes each cell, each eight tabs of padding and each newline separately.
CELL = re.compile(rb"^#(?=\t)|\t{1,8}|[^\t\n]+|\n", re.MULTILINE)


def headers(data: bytes) -> int:
    """Count the goroutines of a text of the runtime."""
    return len(re.findall(rb"^goroutine \d+.* \[.*\](?: \{.*\})?:$", data, re.MULTILINE))


def stated(data: bytes) -> int:
    """Return the number of goroutines that a debug=1 dump states."""
    return int(re.match(rb"goroutine profile: total (\d+)\n", data).group(1))


def spread(data: bytes, lines: list[bytes], every: int = 3) -> bytes:
    """Insert these lines into the text, one after every few."""
    out = []
    for number, line in enumerate(data.splitlines(keepends=True)):
        out.append(line)
        if number % every == 0:
            out.append(lines[number // every % len(lines)])
    return b"".join(out)


def cells(dump: bytes) -> list[bytes]:
    parts = CELL.findall(dump)
    assert b"".join(parts) == dump
    return parts


def interleave(dump: bytes, inserted: dict[int, bytes]) -> bytes:
    """Return the stream in which these texts come before the cells with these numbers."""
    parts = cells(dump)
    return b"".join(inserted.get(number, b"") + cell for number, cell in enumerate(parts))
