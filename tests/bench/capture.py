# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Four ways to capture the stacks of N region pods, measured one after the other on the running lab.

Usage: capture.py [--rounds N] [--skip-slow]. Prints a Markdown table; the figures in docs/performance.md are its
output. CPU and memory are those of the controller's processes (children included).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
LAB = HERE.parent / "lab" / "lab.py"
NAMESPACE, LABEL = "onecloud-bench", "app=region"


@dataclass
class Way:
    name: str
    command: list[str]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_mib: float = 0.0
    proven: str = "not checked"
    note: str = ""

    def run(self) -> str:
        """Run once; stdout. The peak is of the largest single process, as the kernel reports it."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.monotonic()
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate()
        self.wall.append(time.monotonic() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if process.returncode:
            raise SystemExit(f"{self.name} failed:\n{out.decode()[-3000:]}\n{err.decode()[-3000:]}")
        return out.decode()


def lab_state() -> dict:
    return json.loads(subprocess.run([sys.executable, LAB, "status", "--json"], check=True, capture_output=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip-slow", action="store_true", help="leave out the two slow ways")
    parser.add_argument("--pods", type=int, default=40, help="how many the set `bench` has")
    arguments = parser.parse_args()
    state = lab_state()
    apply = [sys.executable, str(HERE.parent / "lab" / "deploy" / "apply.py"), "bench", "--wait"]
    subprocess.run([*apply, "--kubeconfig", state["kubeconfig"]], check=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        measure(arguments, state, folder)
    finally:
        shutil.rmtree(folder)


def measure(arguments: argparse.Namespace, state: dict, folder: Path) -> None:
    kubeconfig = state["kubeconfig"]
    ours = Way(
        "this collection: ansible-playbook capture_stacks",
        [
            "ansible-playbook",
            "cloudpods.diagnostics.capture_stacks",
            "-e",
            json.dumps(
                {
                    "kubeconfig": kubeconfig,
                    "cloudpods_namespace": NAMESPACE,
                    "cloudpods_components": ["region"],
                    "cloudpods_output": str(folder),
                }
            ),
        ],
    )
    floor = Way(
        "the floor: Python threads, no Ansible, no checks",
        [sys.executable, str(HERE / "floor.py"), kubeconfig, NAMESPACE, LABEL, str(folder), str(arguments.pods)],
    )
    kubectl = Way(
        "kubectl in a shell loop, as documented",
        ["sh", str(HERE / "kubectl_loop.sh"), state["kubectl"], kubeconfig, NAMESPACE, LABEL, str(folder)],
    )
    core = Way(
        "a playbook of kubernetes.core loops",
        [
            "ansible-playbook",
            str(HERE / "kubernetes_core.yml"),
            "-e",
            json.dumps(
                {
                    "bench_kubeconfig": kubeconfig,
                    "bench_namespace": NAMESPACE,
                    "bench_label": LABEL,
                    "bench_folder": str(folder),
                }
            ),
        ],
    )
    spreads = []
    for _round in range(arguments.rounds):
        # Alternately, so that a noisy moment of the machine hits both.
        floor.run()
        ours.run()
        spreads.append(check_ours(folder, arguments.pods))
    ours.proven = f"{arguments.pods} of {arguments.pods}"
    ours.note = f"first to last signal: {max(spreads):.3f} s"
    ways = [floor, ours]
    if not arguments.skip_slow:
        kubectl.run()
        core.run()
        ways += [kubectl, core]
    peak = {way.name: peak_of(way) for way in (floor, ours)}
    report(ways, statistics.median(floor.wall), peak)


def check_ours(folder: Path, pods: int) -> float:
    """Every replica is complete by the ledger; the spread of the signals in seconds. Removes the bundle."""
    (bundle,) = [path for path in folder.iterdir() if path.is_dir()]
    rows = [json.loads(line) for line in (bundle / "ledger.jsonl").read_text().splitlines()]
    stacks = [entry for entry in rows if entry["capture"] == "stack"]
    complete = [entry for entry in stacks if entry["status"] == "complete"]
    if len(complete) != pods or len(stacks) != pods:
        raise SystemExit(f"{len(complete)} of {pods} complete: {sorted({entry['message'] for entry in stacks})}")
    sent = sorted(float(re.sub(r".*:(\d+\.\d+)Z", r"\1", entry["details"]["signal_sent"])) for entry in stacks)
    spread = sent[-1] - sent[0]
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return spread if spread < 30 else 60 - sent[-1] + sent[0]


def peak_of(way: Way) -> float:
    """Peak resident memory in MiB of the largest process of one more run, measured by the kernel."""
    out = subprocess.run(
        [sys.executable, "-c", PEAK, *way.command], check=True, capture_output=True, env=dict(os.environ)
    ).stdout
    return int(out.split()[-1]) / 1024


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def report(ways: list[Way], floor: float, peak: dict[str, float]) -> None:
    print("| way | wall s (median; all) | times the floor | controller CPU s | peak MiB | complete dumps proven | |")
    print("|---|---|---|---|---|---|---|")
    for way in ways:
        wall = statistics.median(way.wall)
        each = ", ".join(f"{one:.1f}" for one in way.wall)
        mib = f"{peak[way.name]:.0f}" if way.name in peak else "-"
        cpu = statistics.median(way.cpu)
        print(
            f"| {way.name} | {wall:.1f} ({each}) | {wall / floor:.1f} | {cpu:.1f} | {mib} | {way.proven} | {way.note} |"
        )


if __name__ == "__main__":
    main()
