# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measurement of several methods for one job, one after the other: wall time, processor time and memory.

Processor time and memory are those of the controller's processes, children included, as the kernel reports them: memory
is the peak of the largest single process.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LAB = HERE.parent / "lab"

# Runs a command and prints its usage, as JSON in the last line of its standard output.
METER = """
import json, resource, subprocess, sys, time
start = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
if done.returncode:
    sys.stderr.write(done.stdout.decode(errors="replace")[-4000:])
    sys.exit(done.returncode)
took = [time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]
print(json.dumps(took))
"""


@dataclass
class Way:
    """One method: its command, and the usage of each run (wall and CPU seconds, MiB)."""

    name: str
    command: Sequence[str]
    proven: str = "not checked"
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)

    def run(self, **environment: str) -> None:
        """Run it once. On failure, SystemExit shows the end of its output."""
        metered = subprocess.run(
            [sys.executable, "-c", METER, *self.command],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )
        if metered.returncode:
            raise SystemExit(f"{self.name} failed:\n{metered.stderr}")
        wall, cpu, mib = json.loads(metered.stdout.splitlines()[-1])
        self.wall.append(wall)
        self.cpu.append(cpu)
        self.mib.append(mib)


def table(ways: Sequence[Way], floor: Way | None = None) -> str:
    """Return a Markdown table; with a floor, each method's time as a multiple of it."""
    times = ("times the floor",) if floor else ()
    heads = ("way", "wall s: median (all)", *times, "controller CPU s", "peak MiB", "proven")
    lines = [heads, ["---"] * len(heads)]
    for way in ways:
        wall = statistics.median(way.wall)
        ratio = [f"{wall / statistics.median(floor.wall):.1f}"] if floor else []
        each = ", ".join(f"{one:.1f}" for one in way.wall)
        cpu, mib = statistics.median(way.cpu), max(way.mib)
        lines.append([way.name, f"{wall:.1f} ({each})", *ratio, f"{cpu:.1f}", f"{mib:.0f}", way.proven])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def playbook(name: str, **variables: Any) -> list[str]:
    """Return the command that runs a playbook with these variables."""
    return ["ansible-playbook", name, "-e", json.dumps(variables)]


def lab_state() -> dict[str, Any]:
    """Return the state of the running lab."""
    name = os.environ.get("LAB_NAME", "lab")
    command = [sys.executable, str(LAB / "lab.py"), "--name", name, "status", "--json"]
    state: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return state


def deploy(name: str, kubeconfig: str, *arguments: str) -> None:
    """Deploy a set of stand-ins on the lab and wait until all is as expected."""
    command = [sys.executable, str(LAB / "deploy" / "apply.py"), name, "--wait", "--kubeconfig", kubeconfig]
    subprocess.run([*command, *arguments], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def kubectl_proxy(kubectl: str, kubeconfig: str) -> Iterator[str]:
    """Run a proxy to the API server for the duration of the block; yield its URL."""
    command = [kubectl, "--kubeconfig", kubeconfig, "proxy", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield "http://" + server.stdout.readline().split()[-1]
        finally:
            server.terminate()
