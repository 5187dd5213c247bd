# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed of searching logs, beside `grep -F -f` and `stern`, alternately on this machine; no cluster is needed.

Usage: watch.py [--rounds N] [--megabytes N]. Needs Go, for stern, which is built from its module and kept in the cache.
Prints a Markdown table. Each run is a process of its own, measured in processor time, start included: all three work on
one core. All methods must find exactly the planted lines.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "tools"))

import collection  # noqa: E402
from workspace import cache  # noqa: E402

sys.path.insert(0, str(collection.link()))

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns  # noqa: E402

STERN = "github.com/stern/stern@v1.34.0"
CHUNK = 1 << 18

OURS = """
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
watcher = LogWatcher(load_patterns())
with open(sys.argv[2], "rb", buffering=0) as file:
    while True:
        data = file.read(int(sys.argv[3]))
        if not data:
            break
        watcher.feed(data)
print(watcher.document()["hits"])
"""
# Runs a shell pipeline; prints its output, then the processor time of its processes.
METER = """
import resource, subprocess, sys
done = subprocess.run(["sh", "-c", sys.argv[1]], stdout=subprocess.PIPE, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(int(done.stdout), used.ru_utime + used.ru_stime)
"""


@dataclass
class Input:
    """Log with its number of matching lines, and the processor seconds of each method, by its name."""

    name: str
    path: Path
    lines: int
    hits: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def megabytes(self) -> float:
        return self.path.stat().st_size / 1e6


def quiet_line(number: int, dice: random.Random) -> str:
    """Return a line of normal operation, in the proportions of a busy region."""
    draw = dice.random()
    if draw < 0.7:
        return (
            f"[info {{date}} appsrv.(*Application).ServeHTTP(appsrv.go:402)] aBcD 200 {dice.randrange(1 << 24):06x} "
            f"GET /servers?limit=20&scope=system&details=true (10.40.1.{dice.randrange(255)}:54321:region) "
            f"{dice.randrange(500)}.{dice.randrange(99):02d}ms"
        )
    if draw < 0.85:
        return (
            "[warning {date} taskman.(*STask).SetStage(tasks.go:555)] Task GuestStartTask("
            f"{dice.randrange(1 << 32):08x}-1111-2222-3333-444455556666) on stage {number % 7}, {number % 5} subtasks"
        )
    if draw < 0.97:
        return (
            f"[info {{date}} models.(*SGuestManager).sync(guests.go:55)] sync guest {number} of host {number % 99}, "
            f"result ok, queue length {number % 3}"
        )
    return (
        "[error {date} httperrors.SendHTTPErrorHeader(httperrors.go:110)] Send error "
        f'{{{{"error":{{{{"class":"ResourceNotFoundError","code":404,"details":"{number} not found"}}}}}}}}'
    )


TROUBLE = (
    "[warning {date} appsrv.(*SWorkerManager).Run(workers.go:266)]HttpGetRequestWorkerManager: queue full, task dropped"
)


def write(path: Path, megabytes: float, share: float) -> tuple[int, int]:
    """Write a log of that size, two thousand lines a second; return its numbers of lines and of matching lines."""
    dice, size, lines, hits = random.Random(6), 0, 0, 0
    with open(path, "w", encoding="ascii") as file:
        while size < megabytes * 1e6:
            second = lines // 2000
            clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
            trouble = dice.random() < share
            text = (TROUBLE if trouble else quiet_line(lines, dice)).format(date=f"2026-11-23 {clock}")
            size += file.write(f"2026-11-23T{clock}.{lines % 2000 * 500_000:09d}Z {text}\n")
            lines, hits = lines + 1, hits + trouble
    return lines, hits


def stern() -> Path:
    """Return the path of its binary, built once."""
    folder = cache() / "bin"
    binary = folder / STERN.rpartition("/")[2].replace("@", "-")
    if not binary.exists():
        environment = {
            **os.environ,
            "GOBIN": str(folder / "building"),
            "GOCACHE": str(cache() / "go-build"),
            "GOMODCACHE": str(cache() / "go-mod"),
            "GOFLAGS": "-mod=mod -modcacherw",
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        }
        subprocess.run(["go", "install", STERN], env=environment, check=True)
        (folder / "building" / "stern").rename(binary)
    return binary


def ways(folder: Path, log: Path) -> dict[str, str]:
    """Return shell commands that print the number of matching lines."""
    texts = sorted({text for text, _pattern in load_patterns().texts})
    (folder / "texts").write_text("\n".join(texts) + "\n")
    (folder / "ours.py").write_text(OURS)
    # One by one, because Go finds plain texts much faster than one expression for all.
    wanted = " ".join(f"--include {shlex.quote(re.escape(text))}" for text in texts)
    return {
        "this collection": f"{sys.executable} {folder}/ours.py {collection.link()} {log} {CHUNK}",
        "grep -F -f": f"LC_ALL=C grep -c -F -f {folder}/texts {log} || true",
        "stern": f"{stern()} --stdin --output raw {wanted} < {log} | wc -l",
    }


def measure(folder: Path, given: list[Input], rounds: int) -> None:
    for _round in range(rounds):
        # Alternately, so that noise of the machine affects all.
        for one in given:
            for name, command in ways(folder, one.path).items():
                out = subprocess.run([sys.executable, "-c", METER, command], check=True, capture_output=True, text=True)
                found, seconds = out.stdout.split()
                if int(found) != one.hits:
                    raise SystemExit(f"{name} found {found} lines in {one.name}, not {one.hits}")
                one.seconds.setdefault(name, []).append(float(seconds))


def report(given: list[Input]) -> None:
    print("### Looking through logs\n")
    print(
        "| log | MB | lines with trouble | way | CPU s: best (median) | MB/s per core | lines/s per core | times ours |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for one in given:
        ours = min(next(iter(one.seconds.values())))
        for name, seconds in one.seconds.items():
            best, middle = min(seconds), statistics.median(seconds)
            print(
                f"| {one.name} | {one.megabytes:.0f} | {one.hits} of {one.lines} | {name} | {best:.2f} ({middle:.2f}) "
                f"| {one.megabytes / best:.0f} | {one.lines / best:,.0f} | {best / ours:.2f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder, given = Path(scratch), []
        for name, part, share in (
            ("quiet", 1, 0.0),
            ("a trouble in a thousand lines", 1, 0.001),
            ("a flood", 0.1, 1.0),
        ):
            path = folder / f"{len(given)}.log"
            given.append(Input(name, path, *write(path, arguments.megabytes * part, share)))
        measure(folder, given, arguments.rounds)
        report(given)


if __name__ == "__main__":
    main()
