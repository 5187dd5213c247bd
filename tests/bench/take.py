# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time from the start of the playbook to the sealed bundle, for a CPU profile of 10 components at once.

Usage: take.py [--rounds N] [--seconds N]. Prints Markdown. Needs the running lab.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from ways import HERE, LAB, Way, kubectl_proxy, lab_state, playbook, table

sys.path.insert(0, str(LAB))

from deploy import apply, manifests
from deploy.sets import Set, expectation

NAMESPACE = "onecloud-bench-profiles"
COMPONENTS = (
    "region", "keystone", "glance", "apigateway", "ansibleserver", "cloudnet", "notify", "esxi-agent", "monitor",
    "webconsole",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each CPU profile")
    asked = parser.parse_args()
    state = lab_state()
    cluster = apply.Cluster.connect(state["kubeconfig"])
    apply.apply(cluster, services())
    apply.wait(cluster, services())
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        measure(asked, state, folder)
    finally:
        shutil.rmtree(folder)
        apply.delete(cluster, NAMESPACE)


def services() -> Set:
    """Return one replica of each component, with profiling on and a little load."""
    made, expected = [manifests.namespace(NAMESPACE)], []
    for component in COMPONENTS:
        made.append(manifests.config_map(component, namespace=NAMESPACE, extra="enable_app_profiling: true\n"))
        made.append(manifests.deployment(component, namespace=NAMESPACE, behaviour={"spin": 3}))
        expected.append(expectation(made[-1]))
    return Set(NAMESPACE, made, expected)


def measure(asked: argparse.Namespace, state: dict, folder: Path) -> None:
    """Measure ours beside its lower bounds: Ansible with a module that does nothing, then the bare profiles."""
    bare = folder / "bare"
    no_op = Way("Ansible alone: a playbook of one module that does nothing", playbook(str(HERE / "no_op.yml")), "-")
    ways = [ours(asked, state["kubeconfig"], folder, plan) for plan in (True, False)]
    with kubectl_proxy(state["kubectl"], state["kubeconfig"]) as proxy:
        script = [state["kubectl"], state["kubeconfig"], NAMESPACE, proxy, str(bare), str(asked.seconds)]
        curl = Way("`kubectl proxy` and curl, all at once", ["sh", str(HERE / "curl_profiles.sh"), *script])
        for _round in range(asked.rounds):
            # Alternately, so that noise of the machine affects all.
            no_op.run()
            bare.mkdir()
            curl.run()
            curl.proven = f"{len(list(bare.iterdir()))} files"
            shutil.rmtree(bare)
            for way in ways:
                way.run()
                way.proven = check(folder)
    floor = [one + other for one, other in zip(no_op.wall, curl.wall, strict=True)]
    print(f"### A CPU profile of {asked.seconds} s of {len(COMPONENTS)} components\n\n{table([no_op, curl, *ways])}\n")
    for way in ways:
        ratio = statistics.median(wall / least for wall, least in zip(way.wall, floor, strict=True))
        rest = statistics.median(wall - least for wall, least in zip(way.wall, floor, strict=True))
        print(f"{way.name}: {ratio:.2f} times the floor (the first two together), {rest:.1f} s more.")


def ours(asked: argparse.Namespace, kubeconfig: str, folder: Path, plan: bool) -> Way:
    command = playbook(
        "cloudpods.diagnostics.capture_profiles",
        cloudpods_kubeconfig=kubeconfig,
        cloudpods_namespace=NAMESPACE,
        cloudpods_components=list(COMPONENTS),
        cloudpods_profile_set="cpu",
        cloudpods_cpu_seconds=asked.seconds,
        cloudpods_show_plan=plan,
        cloudpods_output=str(folder),
    )
    return Way("`ansible-playbook capture_profiles`" if plan else "the same without the plan before", command)


def check(folder: Path) -> str:
    """Check by the ledger that each component's profile is complete, with its flame graph. Remove the bundle."""
    (bundle,) = [path for path in folder.iterdir() if path.is_dir()]
    rows = [json.loads(line) for line in (bundle / "ledger.jsonl").read_text().splitlines()]
    whole = [row for row in rows if row["capture"] == "profile:cpu" and row["reason"] == "profile_whole"]
    graphs = list(bundle.rglob("cpu.flame.html"))
    if not len(whole) == len(graphs) == len(COMPONENTS):
        raise SystemExit(f"{len(whole)} profiles, {len(graphs)} flame graphs: {[row['message'] for row in rows]}")
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return f"{len(whole)} profiles and flame graphs"


if __name__ == "__main__":
    main()
