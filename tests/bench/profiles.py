# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed of reading a large profile, beside `go tool pprof -top`, alternately on this machine.

Usage: profiles.py [--rounds N] [--stacks N]. Needs Go; builds a program that writes a heap profile of itself. Prints a
Markdown table. Seconds are the best and the median of all rounds: wall time, and processor time of the whole process,
start included (theirs uses several processors). Theirs prints its table; ours makes that of all sample types, or all
reports. Both must find the same first function with the same value. The peak is that of our process.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "tools"))

from workspace import cache  # noqa: E402

OURS = """
import json, re, sys, time
began = time.perf_counter()
sys.path.insert(0, sys.argv[1])
from module_utils.profiles.frames import Frames
from module_utils.profiles.model import ProfileLimits
from module_utils.profiles.pprof_reader import read
from module_utils.profiles.report import ReportSettings, read_one
from module_utils.profiles.top import tops
from module_utils.profiles.unpack import unpack
with open(sys.argv[2], "rb") as file:
    data = file.read()
marks = [("start of Python", time.perf_counter() - began)]
def step(name, work):
    at = time.perf_counter()
    made = work()
    marks.append((name, time.perf_counter() - at))
    return made
if sys.argv[3] == "top":
    content = step("unpack", lambda: unpack(data, 1 << 30).content)
    profile = step("read", lambda: read(content, ProfileLimits(content=1 << 30)))
    top = step("top", lambda: tops(profile, Frames(profile)))[profile.default]
else:
    settings = ReportSettings(limits=ProfileLimits(content=1 << 30))
    reading = step("all reports", lambda: read_one("x", "heap", data, settings))
    top = reading.top
peak = int(re.search("VmHWM:\\\\s+(\\\\d+) kB", open("/proc/self/status").read()).group(1)) * 1024
print(json.dumps({"marks": marks, "first": [top.rows[0].function, top.rows[0].flat], "peak": peak}))
"""


ENVIRONMENT = {**os.environ, "GOCACHE": str(cache() / "go-build"), "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}


def make(folder: Path, stacks: int) -> Path:
    """Write the profile."""
    build = ["go", "build", "-o", str(folder / "profiler"), "."]
    subprocess.run(build, cwd=HERE / "profiler", env=ENVIRONMENT, check=True)
    subprocess.run([folder / "profiler", str(stacks), folder / "heap.pb.gz"], check=True)
    return folder / "heap.pb.gz"


class Used(NamedTuple):
    """Resource usage of a process: wall time and processor time in seconds."""

    wall: float
    cpu: float


def measured(command: list[str], environment: dict[str, str] | None = None) -> tuple[Used, str]:
    """Return the usage of a command with its children, and its output."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Used(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), said


def ours(path: Path, what: str) -> tuple[Used, list[object], dict[str, float], int]:
    """Return the usage; the first function and its value; seconds of each step; the peak of memory."""
    used, text = measured([sys.executable, "-c", OURS, str(ROOT / "plugins"), str(path), what])
    said = json.loads(text)
    return used, said["first"], dict(said["marks"]), said["peak"]


def theirs(path: Path) -> tuple[Used, list[object]]:
    """Return the usage; the first function and its value."""
    command = ["go", "tool", "pprof", "-symbolize=none", "-top", "-unit=B", str(path)]
    used, text = measured(command, ENVIRONMENT)
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.split()[:2] == ["flat", "flat%"])
    first = lines[start + 1].split()
    return used, [first[5], int(first[0].rstrip("B"))]


def shown(seconds: list[float]) -> str:
    return f"{min(seconds):.2f} ({statistics.median(seconds):.2f})"


def report(runs: dict[str, list[Used]], steps: list[dict[str, float]]) -> None:
    """Print the table; all runs are compared with the first."""
    print("| what | s, best (median) | CPU s | ratio of s | ratio of CPU s |")
    print("|---|---|---|---|---|")
    compared = next(iter(runs.values()))
    their_wall, their_cpu = min(one.wall for one in compared), min(one.cpu for one in compared)
    for name, used in runs.items():
        wall, cpu = [one.wall for one in used], [one.cpu for one in used]
        print(f"| {name} | {shown(wall)} | {shown(cpu)} | {min(wall) / their_wall:.2f} | {min(cpu) / their_cpu:.2f} |")
    parts = ", ".join(f"{name} {min(one[name] for one in steps):.2f} s" for name in steps[0])
    print(f"\nThe steps of our table, at best: {parts}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stacks", type=int, default=550_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        path = make(Path(scratch), arguments.stacks)
        content = len(gzip.decompress(path.read_bytes()))
        theirs(path)  # Go builds its tool at the first use
        runs: dict[str, list[Used]] = {"`go tool pprof -top`": [], "ours, the table": [], "ours, all reports": []}
        steps, peak = [], 0
        for _round in range(arguments.rounds):
            # Alternately, so that noise of the machine affects all.
            their_used, first = theirs(path)
            table_used, our_first, marks, _peak = ours(path, "top")
            all_used, again, _marks, most = ours(path, "all")
            for into, used in zip(runs.values(), (their_used, table_used, all_used), strict=True):
                into.append(used)
            steps.append(marks)
            peak = max(peak, most)
            if not first == our_first == again:
                raise SystemExit(f"go tool pprof has {first} first, we have {our_first} and {again}")
        print("### Profiles\n")
        print(f"A heap profile of {content / 1e6:.1f} MB ({path.stat().st_size / 1e6:.1f} MB packed).\n")
        report(runs, steps)
        print(f"\nThe peak of memory is {peak / content:.0f} times the unpacked profile ({peak / 1e6:.0f} MB).")


if __name__ == "__main__":
    main()
