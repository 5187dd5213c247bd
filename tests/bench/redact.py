# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast secrets are taken out of logs and dumps, beside packing them, which sealing does besides.

Usage: redact.py [--rounds N]. Prints Markdown. Needs no cluster.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import time
import zlib
from collections.abc import Callable

from ways import HERE

sys.path.insert(0, str(HERE.parent / "tools"))

import collection

sys.path.insert(0, str(collection.link()))

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redactor import Redactor

from workspace import ROOT

SAMPLES = ROOT / "tests/unit/fixtures"
MEGABYTES = 16
SECRETS = b"[info 260102 03:04:05] sql_connection: region:hunter2@tcp(10.0.0.1:3306)/region token=8d0f3c2b1a9e7d6c\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    log = repeated(gzip.decompress((SAMPLES / "region-table-locked/region.log.gz").read_bytes()))
    dump = repeated((SAMPLES / "region-healthy/dump.log").read_bytes())
    lines = log.split(b"\n")
    planted = b"\n".join(line if number % 100 else line + b"\n" + SECRETS for number, line in enumerate(lines))
    redactor = Redactor()
    print("| what | redacted, MB/s | packed (gzip, level 6), MB/s | ratio |")
    print("|---|---|---|---|")
    for name, data in (("log", log), ("log, each hundredth line with two secrets", planted), ("dumps", dump)):
        ours = speed(lambda data=data: redactor.data(data, "x.log"), data, rounds)
        packed = speed(lambda data=data: zlib.compress(data, 6), data, rounds)
        print(f"| {name} | {ours:.0f} | {packed:.0f} | {ours / packed:.2f} |")


def repeated(data: bytes) -> bytes:
    return (data * (MEGABYTES * 1_000_000 // len(data) + 1))[: MEGABYTES * 1_000_000]


def speed(work: Callable[[], object], data: bytes, rounds: int) -> float:
    """Megabytes a second, of the median round."""
    times = []
    for _round in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return len(data) / 1e6 / statistics.median(times)


if __name__ == "__main__":
    main()
