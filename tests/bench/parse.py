# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed of parsing dumps, beside the fastest Go parser (DataDog/gostackparse), alternately on this machine.

Usage: parse.py [--rounds N] [--goroutines N]. Needs Go; builds a program that dumps itself, and the other parser.
Prints a Markdown table. Seconds are the best and the median of all rounds, from opening the file to the result; every
run is a process of its own. The peak is of the whole process, as the kernel reports it, as a multiple of the file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "tools"))

from workspace import cache  # noqa: E402

OURS = """
import re, sys, time
sys.path.insert(0, sys.argv[1])
from stacks.parse import parse
began = time.perf_counter()
with open(sys.argv[2], "rb") as file:
    data = file.read()
result = parse(data)
seconds = time.perf_counter() - began
goroutines = sum(dump.goroutines for dump in result.dumps)
errors = len(result.errors) + sum(len(dump.errors) for dump in result.dumps)
# Not ru_maxrss, which begins with what the parent had.
peak = int(re.search("VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read()).group(1)) * 1024
print(goroutines, errors, seconds, peak)
"""
TIME = b"2026-11-23T00:22:28.123456789Z "


@dataclass
class Input:
    """File with dumps, and its measurements."""

    name: str
    path: Path
    goroutines: int
    compare: bool = False
    seconds: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    peak: int = 0

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def build(folder: Path) -> None:
    """Build both Go programs into the folder."""
    environment = {
        **os.environ,
        "GOCACHE": str(cache() / "go-build"),
        "GOMODCACHE": str(cache() / "go-mod"),
        "GOFLAGS": "-mod=mod -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }
    for name, options in (("dump", ("-tags", "faketime")), ("gostackparse", ())):
        # The paths in the dump must not depend on the place of the checkout.
        trim = f"-gcflags=all=-trimpath={HERE / 'parser' / name}=>/go/src/example.org/services/region"
        command = ["go", "build", *options, trim, "-o", str(folder / name), "."]
        subprocess.run(command, cwd=HERE / "parser" / name, env=environment, check=True)


def inputs(folder: Path, goroutines: int) -> list[Input]:
    """Return dumps of all and of half the goroutines, because twice as many would not fit into one; and other input."""
    for count in (goroutines, goroutines // 2):
        subprocess.run([str(folder / "dump"), str(count), str(folder / f"{count}.txt")], check=True)
    text = (folder / f"{goroutines}.txt").read_bytes()
    (folder / "wrapped.txt").write_bytes(b"".join(TIME + line for line in text.splitlines(keepends=True)))
    dump = (ROOT / "tests" / "unit" / "fixtures" / "region-healthy" / "dump.log").read_bytes()
    copies = 200
    (folder / "counted.txt").write_bytes(dump * copies)
    return [
        Input("debug=2", folder / f"{goroutines}.txt", goroutines, compare=True),
        Input("debug=2, half the size", folder / f"{goroutines // 2}.txt", goroutines // 2, compare=True),
        Input("debug=2 behind `--timestamps`", folder / "wrapped.txt", goroutines),
        Input(f"debug=1, {copies} dumps", folder / "counted.txt", 145 * copies),
    ]


def run(command: list[str], expected: int) -> list[str]:
    """Return the output of a parser; it must have read everything."""
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    if (int(out[0]), int(out[1])) != (expected, 0):
        raise SystemExit(f"{command[0]}: {out[0]} goroutines and {out[1]} errors, not {expected} and 0")
    return out


def measure(folder: Path, given: list[Input], rounds: int) -> None:
    room = str(ROOT / "plugins" / "module_utils")
    for _round in range(rounds):
        # Alternately, so that noise of the machine affects both.
        for one in given:
            out = run([sys.executable, "-c", OURS, room, str(one.path)], one.goroutines)
            one.seconds.append(float(out[2]))
            one.peak = max(one.peak, int(out[3]))
            if one.compare:
                out = run([str(folder / "gostackparse"), str(one.path)], one.goroutines)
                one.theirs.append(float(out[2]))


def report(given: list[Input]) -> None:
    print("### Parsing\n")
    print(
        "| input | MB | goroutines | s, best (median) | MB/s | gostackparse s | ours / theirs | peak memory / input |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for one in given:
        best, middle = min(one.seconds), statistics.median(one.seconds)
        theirs = ratio = "-"
        if one.theirs:
            their_best, their_middle = min(one.theirs), statistics.median(one.theirs)
            theirs = f"{their_best:.2f} ({their_middle:.2f})"
            ratio = f"{best / their_best:.2f} ({middle / their_middle:.2f})"
        print(
            f"| {one.name} | {one.size / 1e6:.1f} | {one.goroutines} | {best:.2f} ({middle:.2f}) "
            f"| {one.size / 1e6 / best:.0f} | {theirs} | {ratio} | {one.peak / one.size:.2f} |"
        )
    growth = (min(given[0].seconds) / given[0].size) / (min(given[1].seconds) / given[1].size)
    print(f"\nA byte of the whole takes {growth:.2f} times as long as a byte of the half.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--goroutines", type=int, default=100_001)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        build(folder)
        given = inputs(folder, arguments.goroutines)
        measure(folder, given, arguments.rounds)
        report(given)


if __name__ == "__main__":
    main()
