# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab for tests: its state, its pods, and runs of playbooks against it."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import collection

ROOT = Path(__file__).resolve().parents[2]
# The lab of these tests: LAB_NAME, with one per worker if tests run in parallel.
LAB_NAME = "-".join(filter(None, (os.environ.get("LAB_NAME", "lab"), os.environ.get("PYTEST_XDIST_WORKER"))))
LAB = [sys.executable, str(ROOT / "tests" / "lab" / "lab.py"), "--name", LAB_NAME]
APPLY = ROOT / "tests" / "lab" / "deploy" / "apply.py"
PLAYBOOK = "cloudpods.diagnostics.capture_stacks"


@dataclass
class Run:
    """One run of a playbook: exit code, terminal output, and the bundle if there is one."""

    code: int
    shown: str
    output: Path
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def bundle(self) -> Path:
        (folder,) = [path for path in self.output.iterdir() if path.is_dir()]
        return folder

    @property
    def archive(self) -> Path:
        return self.bundle.with_name(self.bundle.name + ".tar.gz")

    def of(self, capture: str = "stack", **wanted: Any) -> list[dict[str, Any]]:
        """Return the rows of a capture with these values."""
        rows = [row for row in self.rows if row["capture"] == capture]
        return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def ledger(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of the ledger of a part or bundle."""
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


@dataclass(frozen=True)
class World:
    """Running lab."""

    state: dict[str, Any]

    @property
    def kubeconfig(self) -> str:
        return str(self.state["kubeconfig"])

    @property
    def nodes(self) -> list[dict[str, Any]]:
        return list(self.state["nodes"])

    def lab(self, *arguments: str) -> str:
        """Run a command of the lab's own program."""
        done = subprocess.run([*LAB, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"lab.py {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        command = [self.state["kubectl"], "--kubeconfig", self.kubeconfig, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def pods(self, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        found = json.loads(self.kubectl("-n", namespace, "get", "pods", "-l", selector, "-o", "json"))
        return list(found["items"])

    def deploy(self, name: str, *arguments: str) -> None:
        """Deploy a set of stand-ins and wait until every pod is as expected."""
        command = [sys.executable, APPLY, name, "--kubeconfig", self.kubeconfig, "--wait", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def containers(self, *namespaces: str) -> dict[str, tuple[str, int]]:
        """Return the container id and restart count of every running container."""
        return {
            f"{pod['metadata']['name']}/{status['name']}": (status.get("containerID", ""), status["restartCount"])
            for namespace in namespaces
            for pod in self.pods(namespace)
            for status in pod["status"].get("containerStatuses", [])
            if "running" in status["state"]
        }

    def audit(self) -> list[dict[str, Any]]:
        """Return every request that the API server has recorded so far."""
        lines = Path(self.state["audit_log"]).read_text().splitlines()
        return [json.loads(line) for line in lines]


def asked(world: World, user: str) -> list[tuple[str, str, str]]:
    """Return (verb, resource/subresource, path) of all requests of this user."""
    found = []
    for event in world.audit():
        if event["user"].get("username") == user and event["stage"] == "ResponseComplete":
            named = event.get("objectRef", {})
            resource = "/".join(part for part in (named.get("resource"), named.get("subresource")) if part)
            found.append((event["verb"], resource, event["requestURI"]))
    return found


@functools.cache
def installed() -> Path:
    """Return the collections path of the built collection, installed once in a test run."""
    return collection.install()


def call(module: str, kubeconfig: str, folder: Path, *arguments: str, **options: Any) -> tuple[str, dict[str, Any]]:
    """Call a module of the installed collection by Ansible, as a user does; return Ansible's outcome and the result.

    The module's part is in the folder `part` below.
    """
    given = {"kubeconfig": kubeconfig, "output": str(folder / "part"), **options}
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(installed()),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_HOME": str(folder / "ansible"),
    }
    command = ["ansible", "localhost", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"]
    command += ["-m", f"cloudpods.diagnostics.{module}", "-a", json.dumps(given), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    head, arrow, shown = done.stdout.partition(" => ")
    assert arrow, done.stdout + done.stderr
    return head.rpartition(" | ")[2], json.loads(shown)


def play(
    output: Path,
    variables: dict[str, Any],
    *arguments: str,
    inventory: dict[str, Any] | None = None,
    playbook: str = PLAYBOOK,
    environment: dict[str, str] | None = None,
    fresh: bool = True,
) -> Run:
    """Run a playbook of the installed collection and read its bundle's ledger, if it left one.

    Its artifacts go to a new folder below output.
    """
    output = output / f"bundles-{len(list(output.iterdir()))}" if fresh else output
    command = ["ansible-playbook", playbook, "-e", json.dumps({"cloudpods_output": str(output), **variables})]
    if inventory is not None:
        path = output.parent / f"{output.name}-inventory.json"
        path.write_text(json.dumps(inventory))
        command += ["-i", str(path)]
    env = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(installed()),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_HOME": str(output.parent / "ansible"),
        **(environment or {}),
    }
    done = subprocess.run(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, check=False
    )
    run = Run(done.returncode, done.stdout, output)
    ledgers = list(output.glob("*/ledger.jsonl"))
    if ledgers:
        run.rows = ledger(ledgers[0].parent)
    return run


def kubeconfig_of(world: World, user: str, role: dict[str, Any], namespace: str = "onecloud") -> str:
    """Return the kubeconfig of a user with only this Role, under a name of its own, in the namespace."""
    named = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": user, "namespace": namespace}}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user}
    binding = {**named, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
    manifest = Path(world.kubeconfig).with_name(f"{user}.json")
    items = [{**named, "kind": "Role", "rules": role["rules"]}, binding]
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    world.kubectl("apply", "-f", str(manifest))
    return world.lab("kubeconfig", "--user", user).strip()


def published(role: str) -> dict[str, Any]:
    """Return a Role of docs/ for users to apply: `rbac`, `rbac-audit`, `rbac-profiles`."""
    return dict(yaml.safe_load((ROOT / "docs" / f"{role}.yml").read_text()))
