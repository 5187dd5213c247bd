# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Four ways to capture the stacks of 40 region pods, measured one after the other on the running lab.

Usage: capture.py [--rounds N] [--skip-slow]. Prints Markdown.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

from ways import HERE, Way, deploy, lab_state, playbook, table

NAMESPACE, LABEL = "onecloud-bench", "app=region"
PODS = 40  # of the set `bench`
TOTAL = re.compile(rb"^goroutine profile: total (\d+)$", re.MULTILINE)
BLOCK = re.compile(rb"^(\d+) @ 0x", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--skip-slow", action="store_true", help="leave out the two slow ways")
    asked = parser.parse_args()
    state = lab_state()
    deploy("bench", state["kubeconfig"])
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        measure(asked, state, folder)
    finally:
        shutil.rmtree(folder)


def measure(asked: argparse.Namespace, state: dict, folder: Path) -> None:
    kubeconfig = state["kubeconfig"]
    ours = Way(
        "this collection: `ansible-playbook capture_stacks`",
        playbook(
            "cloudpods.diagnostics.capture_stacks",
            cloudpods_kubeconfig=kubeconfig,
            cloudpods_namespace=NAMESPACE,
            cloudpods_components=["region"],
            cloudpods_output=str(folder),
        ),
    )
    floor = Way(
        "the floor: Python threads, no Ansible, no checks",
        [sys.executable, str(HERE / "floor.py"), kubeconfig, NAMESPACE, LABEL, str(folder), str(PODS)],
    )
    kubectl = Way(
        "kubectl in a shell loop, as documented",
        ["sh", str(HERE / "kubectl_loop.sh"), state["kubectl"], kubeconfig, NAMESPACE, LABEL, str(folder)],
    )
    core = Way(
        "a playbook of kubernetes.core loops",
        playbook(
            str(HERE / "kubernetes_core.yml"),
            bench_kubeconfig=kubeconfig,
            bench_namespace=NAMESPACE,
            bench_label=LABEL,
            bench_folder=str(folder),
        ),
    )
    spreads = []
    for _round in range(asked.rounds):
        # Alternately, so that noise of the machine affects both.
        floor.run()
        floor.proven = whole_files(folder)
        ours.run()
        spreads.append(check_ours(folder))
    ours.proven = f"{PODS} of {PODS}"
    ways = [floor, ours]
    if not asked.skip_slow:
        for way in (kubectl, core):
            way.run()
            way.proven = whole_files(folder)
            ways.append(way)
    print(f"### Stacks of {PODS} pods\n\n{table(ways, floor)}\n")
    print(f"From the first signal to the last: {', '.join(f'{spread:.3f}' for spread in spreads)} s.\n")


def whole_files(folder: Path) -> str:
    """Return the number of files whose plain lines add up to the total, as a person would check; remove them.

    A log line in the middle of a block's first line hides it, so the number may be too low.
    """
    whole = 0
    for path in sorted(folder.glob("*.txt")):
        data = path.read_bytes()
        headers = list(TOTAL.finditer(data))
        if headers and sum(map(int, BLOCK.findall(data, headers[-1].end()))) == int(headers[-1][1]):
            whole += 1
    for path in folder.iterdir():
        path.unlink()
    return f"{whole} of {PODS} add up"


def check_ours(folder: Path) -> float:
    """Check by the ledger that every replica is complete; return the spread of the signals in seconds.

    Removes the bundle.
    """
    (bundle,) = [path for path in folder.iterdir() if path.is_dir()]
    rows = [json.loads(line) for line in (bundle / "ledger.jsonl").read_text().splitlines()]
    stacks = [entry for entry in rows if entry["capture"] == "stack"]
    complete = [entry for entry in stacks if entry["status"] == "complete"]
    if len(complete) != PODS or len(stacks) != PODS:
        raise SystemExit(f"{len(complete)} of {PODS} complete: {sorted({entry['message'] for entry in stacks})}")
    moments = [datetime.datetime.fromisoformat(entry["details"]["signal_sent"]) for entry in stacks]
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return (max(moments) - min(moments)).total_seconds()


if __name__ == "__main__":
    main()
