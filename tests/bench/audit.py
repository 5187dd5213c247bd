# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost of an audit: 40 pods of the running lab beside two other methods, and fleets of up to 5,000 pods.

Usage: audit.py [--rounds N] [--skip-slow] [--skip-fleet]. Prints Markdown. A fleet is simulated: several API servers
(fleet/main.go) list the pods, and answer HTTP requests to them with the bodies of one real region.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ways import HERE, Way, deploy, kubectl_proxy, lab_state, playbook, table

sys.path.insert(0, str(HERE.parent / "tools"))

from workspace import ROOT, cache

NAMESPACE, LABEL, PODS = "onecloud-bench", "app=region", 40
ENDPOINTS = ("ping", "version", "stats", "worker_stats", "process_stats", "db_stats")
SAMPLES, INTERVAL = 2, 1
FLEETS = (1000, 2500, 5000)
CLUSTERS = 5
BODIES = ROOT / "tests" / "unit" / "plugins" / "module_utils" / "status" / "samples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip-slow", action="store_true", help="leave out the playbook of loops")
    parser.add_argument("--skip-fleet", action="store_true", help="leave out the simulated fleets")
    parser.add_argument("--only-fleet", action="store_true", help="leave out the lab")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        if not asked.only_fleet:
            measure_lab(asked, folder)
        if not asked.skip_fleet:
            measure_fleets(folder)
    finally:
        shutil.rmtree(folder)


def measure_lab(asked: argparse.Namespace, folder: Path) -> None:
    """Measure a whole audit of the lab's pods, and other methods for the same requests, without a verdict."""
    state = lab_state()
    kubeconfig = state["kubeconfig"]
    deploy("bench", kubeconfig)
    ours = Way(
        "this collection: `ansible-playbook audit_health`",
        playbook(
            "cloudpods.diagnostics.audit_health",
            cloudpods_kubeconfig=kubeconfig,
            cloudpods_namespace=NAMESPACE,
            cloudpods_components=["region"],
            cloudpods_interval=INTERVAL,
            cloudpods_output=str(folder / "ours"),
        ),
    )
    with kubectl_proxy(state["kubectl"], kubeconfig) as proxy:
        ways = compare(asked, ours, others(state, proxy, folder), folder)
    questions = f"{len(ENDPOINTS)} endpoints, {SAMPLES} samples {INTERVAL} s apart"
    print(f"### Audit of {PODS} pods ({questions})\n\n{table(ways)}\n")


def others(state: dict, proxy: str, folder: Path) -> tuple[Way, Way]:
    """Return a shell loop and a playbook of loops."""
    bodies = folder / "bodies"
    bodies.mkdir()
    script = [state["kubectl"], state["kubeconfig"], NAMESPACE, LABEL, proxy, str(bodies), str(SAMPLES), *ENDPOINTS]
    curl = Way("`kubectl proxy` and curl in a shell loop", ["sh", str(HERE / "curl_loop.sh"), *script], "bodies only")
    loops = Way(
        "a playbook of kubernetes.core and `uri` loops",
        playbook(
            str(HERE / "uri_loops.yml"),
            bench_kubeconfig=state["kubeconfig"],
            bench_namespace=NAMESPACE,
            bench_label=LABEL,
            bench_proxy=proxy,
            bench_endpoints=ENDPOINTS,
            bench_samples=SAMPLES,
        ),
        "bodies only",
    )
    return curl, loops


def compare(asked: argparse.Namespace, ours: Way, others: tuple[Way, Way], folder: Path) -> list[Way]:
    """Run ours and the shell loop alternately, and the slow one once."""
    curl, loops = others
    for _round in range(asked.rounds):
        ours.run()
        ours.proven = read_bodies(folder / "ours", PODS)
        curl.run()
    if asked.skip_slow:
        return [ours, curl]
    loops.run()
    return [ours, curl, loops]


def read_bodies(output: Path, pods: int) -> str:
    """Return the number of complete responses of services, by the ledger; remove the bundle."""
    (bundle,) = [path for path in output.iterdir() if path.is_dir()]
    rows = [json.loads(line) for line in (bundle / "ledger.jsonl").read_text().splitlines()]
    asked = [row for row in rows if row["capture"].startswith("status:")]
    answered = [row for row in asked if row["status"] == "complete"]
    if len(answered) != pods * len(ENDPOINTS) * SAMPLES:
        raise SystemExit(f"{len(answered)} answers: {sorted({row['message'] for row in asked})[:3]}")
    shutil.rmtree(output)
    return f"{len(answered)} answers, verdict"


def measure_fleets(folder: Path) -> None:
    """Measure the same over several clusters at once, with more and more pods."""
    program = built_fleet()
    samples = folder / "samples"
    samples.mkdir()
    for path in BODIES.iterdir():
        (samples / path.stem).write_bytes(gzip.decompress(path.read_bytes()) if path.suffix else path.read_bytes())
    lines = ["| pods | wall s | controller CPU s | CPU ms per pod | peak MiB of a process |", "|---|---|---|---|---|"]
    for pods in FLEETS:
        with contextlib.ExitStack() as stack:
            urls = [stack.enter_context(cluster(program, pods // CLUSTERS, samples)) for _number in range(CLUSTERS)]
            inventory = folder / "inventory.json"
            local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
            hosts = {
                f"cloud-{number}": {**local, "host": url, "api_key": "not-a-secret-at-all"}
                for number, url in enumerate(urls)
            }
            inventory.write_text(json.dumps({"cloudpods": {"hosts": hosts}}))
            command = playbook(
                "cloudpods.diagnostics.audit_health",
                cloudpods_components=["region"],
                cloudpods_interval=INTERVAL,
                cloudpods_log_seconds=0,
                cloudpods_certificates=False,
                cloudpods_bodies="unread",
                cloudpods_output=str(folder / "fleet"),
            )
            way = Way(f"{pods} pods", [*command, "-i", str(inventory)])
            way.run()
            read_bodies(folder / "fleet", pods)
        lines.append(
            f"| {pods} | {way.wall[0]:.1f} | {way.cpu[0]:.1f} | {way.cpu[0] / pods * 1000:.2f} | {way.mib[0]:.0f} |"
        )
    print(f"### Audit of a simulated fleet, {CLUSTERS} clusters\n\n" + "\n".join(lines) + "\n")


def built_fleet() -> Path:
    """Build the simulated API server; return its path."""
    program = cache() / "bench" / "fleet"
    environment = {**os.environ, "GOCACHE": str(cache() / "go-build"), "GOTOOLCHAIN": "local"}
    subprocess.run(["go", "build", "-o", program, "."], cwd=HERE / "fleet", check=True, env=environment)
    return program


@contextlib.contextmanager
def cluster(program: Path, pods: int, samples: Path) -> Iterator[str]:
    """Start a simulated cluster; yield its URL."""
    server = subprocess.Popen([program, str(pods), samples], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.communicate()


if __name__ == "__main__":
    main()
