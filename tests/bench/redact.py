# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed of redacting secrets and replacing identities in logs and dumps, beside the compression of sealing.

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

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.identity_finder import IdentityFinder
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.pseudonym_table import PseudonymTable
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.pseudonymizer import Pseudonymizer
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
    lines_needed = range(MEGABYTES * 1_000_000 // len(request(0, 0)))
    known = b"".join(request(number, number % 1_000) for number in lines_needed)
    fresh = b"".join(request(number, number) for number in lines_needed)
    print("| what | redacted, MB/s | packed (gzip, level 6), MB/s | ratio |")
    print("|---|---|---|---|")
    for name, data in (("log", log), ("log, each hundredth line with two secrets", planted), ("dumps", dump)):
        ours = speed(lambda data=data: redactor.data(data, "x.log"), data, rounds)
        packed = speed(lambda data=data: zlib.compress(data, 6), data, rounds)
        print(f"| {name} | {ours:.0f} | {packed:.0f} | {ours / packed:.2f} |")
    print("\n| what | identities gathered and replaced, MB/s |")
    print("|---|---|")
    for name, data in (
        ("log", log),
        ("requests of 1,000 clients", known),
        ("of a new one each", fresh),
        ("dumps", dump),
    ):
        print(f"| {name} | {speed(lambda data=data: replaced(data), data, rounds):.0f} |")


def request(number: int, client: int) -> bytes:
    """Return a line about a request, with its own time and id, and the client's address, host and instance."""
    return (
        b"[info 260102 03:%02d:%02d appsrv.(*Application).ServeHTTP(appsrv.go:300)] 200 %06x GET"
        b" /servers/vm-%06d?host=kvm-%05d (10.%d.%d.%d:8240:scheduler) %d.%02dms\n"
    ) % (
        number // 60 % 60, number % 60, number * 7919 % (1 << 24), client, client,
        client >> 16 & 255, client >> 8 & 255, client & 255, number % 900, number % 97,
    )  # fmt: skip


def replaced(data: bytes) -> bytes:
    """Replace identities by tokens, as in a bundle that is sealed with a new map."""
    tokens = PseudonymTable()
    finder = IdentityFinder(tokens)
    finder.add_text(data)
    return Pseudonymizer(tokens, finder).data(data, "x.log")


def repeated(data: bytes) -> bytes:
    return (data * (MEGABYTES * 1_000_000 // len(data) + 1))[: MEGABYTES * 1_000_000]


def speed(work: Callable[[], object], data: bytes, rounds: int) -> float:
    """Return the speed of the median round in megabytes a second."""
    times = []
    for _round in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return len(data) / 1e6 / statistics.median(times)


if __name__ == "__main__":
    main()
