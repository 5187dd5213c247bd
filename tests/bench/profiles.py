# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a large profile is read, beside `go tool pprof -top`, alternately on this machine.

Usage: profile.py [--rounds N] [--stacks N]. Needs Go; builds a program that writes a heap profile of itself.
Prints a Markdown table. Seconds are the best and the median of all rounds. Ours are of each step, and of a whole
process of Python that reads the file and writes all reports; theirs are of a whole process that prints the table. Both
must find the same first function with the same value. The peak is that of our whole process.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "tools"))

from workspace import cache  # noqa: E402

OURS = """
import json, re, sys, time
began = time.perf_counter()
sys.path.insert(0, sys.argv[1])
from module_utils.profiles.frames import Frames
from module_utils.profiles.model import Limits
from module_utils.profiles.read import read
from module_utils.profiles.report import Settings, read_one
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
    profile = step("read", lambda: read(content, Limits(content=1 << 30)))
    top = step("top", lambda: tops(profile, Frames(profile)))[profile.default]
else:
    settings = Settings(limits=Limits(content=1 << 30))
    reading = step("all reports", lambda: read_one("x", "heap", data, settings))
    top = reading.top
peak = int(re.search("VmHWM:\\\\s+(\\\\d+) kB", open("/proc/self/status").read()).group(1)) * 1024
print(json.dumps({"marks": marks, "first": [top.rows[0].function, top.rows[0].flat], "peak": peak}))
"""


def go(*command: str, cwd: Path | None = None) -> str:
    """What a command of Go's prints."""
    environment = {**os.environ, "GOCACHE": str(cache() / "go-build"), "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
    return subprocess.run(["go", *command], cwd=cwd, env=environment, check=True, capture_output=True, text=True).stdout


def make(folder: Path, stacks: int) -> Path:
    """The profile."""
    go("build", "-o", str(folder / "profiler"), ".", cwd=HERE / "profiler")
    subprocess.run([folder / "profiler", str(stacks), folder / "heap.pb.gz"], check=True)
    return folder / "heap.pb.gz"


def ours(path: Path, what: str) -> tuple[dict[str, float], list[object], int]:
    """Seconds of each step and of the whole process; the first function and its value; the peak of memory."""
    began = time.perf_counter()
    command = [sys.executable, "-c", OURS, str(ROOT / "plugins"), str(path), what]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {**dict(said["marks"]), "process": time.perf_counter() - began}, said["first"], said["peak"]


def theirs(path: Path) -> tuple[float, list[object]]:
    """Seconds of the process; the first function and its value."""
    began = time.perf_counter()
    lines = go("tool", "pprof", "-symbolize=none", "-top", "-unit=B", str(path)).splitlines()
    seconds = time.perf_counter() - began
    start = next(number for number, line in enumerate(lines) if line.split()[:2] == ["flat", "flat%"])
    first = lines[start + 1].split()
    return seconds, [first[5], int(first[0].rstrip("B"))]


def shown(seconds: list[float]) -> str:
    return f"{min(seconds):.2f} ({statistics.median(seconds):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stacks", type=int, default=550_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        path = make(Path(scratch), arguments.stacks)
        content = len(gzip.decompress(path.read_bytes()))
        theirs(path)  # Go builds its tool when it is first used
        table, reports, pprof = [], [], []
        peak = 0
        for _round in range(arguments.rounds):
            # Alternately, so that a noisy moment of the machine hits all.
            seconds, first = theirs(path)
            pprof.append(seconds)
            steps, our_first, _peak = ours(path, "top")
            table.append(steps)
            everything, again, most = ours(path, "all")
            reports.append(everything)
            peak = max(peak, most)
            if not first == our_first == again:
                raise SystemExit(f"go tool pprof has {first} first, we have {our_first} and {again}")
        print("### Profiles\n")
        print(f"A heap profile of {content / 1e6:.1f} MB ({path.stat().st_size / 1e6:.1f} MB packed).\n")
        print("| what | s, best (median) | ours / `go tool pprof -top` |")
        print("|---|---|---|")
        print(f"| `go tool pprof -top`, the process | {shown(pprof)} | 1 |")
        for name in table[0]:
            seconds_of = [one[name] for one in table]
            ratio = f"{min(seconds_of) / min(pprof):.2f}" if name == "process" else "-"
            print(f"| ours, the table of all four types: {name} | {shown(seconds_of)} | {ratio} |")
        seconds_of = [one["process"] for one in reports]
        print(f"| ours, all reports: process | {shown(seconds_of)} | {min(seconds_of) / min(pprof):.2f} |")
        print(f"\nThe peak of memory is {peak / content:.0f} times the unpacked profile ({peak / 1e6:.0f} MB).")


if __name__ == "__main__":
    main()
