# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test cluster: a real multi-node Kubernetes in namespaces of this machine.

    lab.py build                          build everything (5 minutes the first time, then under a second)
    lab.py up [--nodes N]                 start it, building what is missing; a running lab is left alone
    lab.py status [--json]                show its state
    lab.py exec NODE -- COMMAND …         run a command inside a node (`cp`: the control plane)
    lab.py kubeconfig --user NAME         write a kubeconfig for another user
    lab.py fault freeze node1/kubelet     cause a fault: freeze, thaw, stop, start, kill
    lab.py kubelet NODE --container-log-max-size 64Ki    restart a kubelet with other options
    lab.py down                           remove the lab with all that belongs to it
    lab.py leftovers                      list all that exists of the lab; exit code 1 if there is anything

Needs root, Debian (it installs missing packages) and Python >= 3.10. If the machine cannot run a lab, it prints the
reason and exits with 77. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "tools"))

from lablib import faults, lifecycle, packages, users
from lablib.build import build
from lablib.core import LabError
from lablib.lifecycle import Lab
from lablib.plan import NAME

CANNOT = 77  # exit code if this machine cannot run a lab


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--name", default=os.environ.get("LAB_NAME", "lab"),
                     help="which lab: several can run side by side (default: LAB_NAME, or lab)")  # fmt: skip
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("build", help="build everything")
    up = commands.add_parser("up", help="bring it up")
    up.add_argument("--nodes", type=int, help="default: 2, or as it runs")
    up.add_argument("--max-pods", type=int, help="a node's; default: 110")
    add_log_options(up)
    status = commands.add_parser("status", help="what there is")
    status.add_argument("--json", action="store_true", help="the state file's content")
    execute = commands.add_parser("exec", help="run a command inside a machine")
    execute.add_argument("machine", help="node1, node2, … or cp")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND …")
    config = commands.add_parser("kubeconfig", help="a kubeconfig for another user")
    who = config.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", help="a user, by client certificate")
    who.add_argument("--service-account", metavar="NAMESPACE/NAME", help="an existing service account, by token")
    config.add_argument("--group", action="append", default=[], help="a group of the user (several times)")
    config.add_argument("--output", type=Path, help="default: in the lab's directory; the path is printed")
    fault = commands.add_parser("fault", help="break something, or mend it")
    fault.add_argument("act", choices=["freeze", "thaw", "stop", "start", "kill"])
    fault.add_argument(
        "target",
        help="MACHINE/PART, such as cp/kube-apiserver; to freeze and thaw also a MACHINE, or MACHINE/CONTAINER-ID",
    )
    kubelet = commands.add_parser("kubelet", help="restart a kubelet with other options")
    kubelet.add_argument("node")
    add_log_options(kubelet)
    commands.add_parser("down", help="take it down")
    commands.add_parser("leftovers", help="list what exists of the lab")
    return top


def add_log_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the kubelet's rotation of container logs."""
    command.add_argument("--container-log-max-size", metavar="QUANTITY", help="rotate at this size; default: 10Mi")
    command.add_argument("--container-log-max-files", type=int, metavar="N", help="default: 5")


def log_options(asked: argparse.Namespace) -> dict[str, int | str | None]:
    """Return the given ones of these options."""
    return {
        "container_log_max_size": asked.container_log_max_size,
        "container_log_max_files": asked.container_log_max_files,
    }


def do_build(_lab: Lab, _asked: argparse.Namespace) -> None:
    """Build, and print the paths of the results."""
    built = build()
    print(f"Kubernetes {built.kube}\nimages     {built.archive}")


def do_up(lab: Lab, asked: argparse.Namespace) -> None:
    """Start the lab, and print how to use it."""
    show(lifecycle.up(lab, build(), nodes=asked.nodes, max_pods=asked.max_pods, **log_options(asked)))


def do_status(lab: Lab, asked: argparse.Namespace) -> None:
    """Show the state. Exit with 1 if the lab is damaged."""
    if asked.json:
        print(json.dumps(lab.state, indent=2))
    else:
        show(lab.state)
        if found := lifecycle.troubles(lab):
            raise LabError("; ".join(found))


def show(state: dict) -> None:
    """Print the state for people."""
    print(f"export KUBECONFIG={state['kubeconfig']}")
    print(f"kubectl    {state['kubectl']}")
    print(f"API server {state['server']}   audit log {state['audit_log']}")
    for node in state["nodes"]:
        ssh = f"ssh -i {node['ssh_key']} -o UserKnownHostsFile={node['ssh_known_hosts']} root@{node['ip']}"
        print(f"{node['name']}  logs {node['log_dir']}\n    {ssh}")


def do_exec(lab: Lab, asked: argparse.Namespace) -> None:
    """Replace this process by the command."""
    argv = asked.argv[1:] if asked.argv[:1] == ["--"] else asked.argv
    if not argv:
        raise LabError("no command to run; give it after `--`")
    prefix = lab.machine(asked.machine).enter()
    sys.stdout.flush()
    os.execvp(prefix[0], [*prefix, *argv])  # noqa: S606 - so that signals and the terminal are the command's


def do_kubeconfig(lab: Lab, asked: argparse.Namespace) -> None:
    """Write a kubeconfig and print its path."""
    if asked.user:
        print(users.for_user(lab, asked.user, asked.group, asked.output))
        return
    namespace, slash, name = asked.service_account.partition("/")
    if not slash:
        raise LabError(f"--service-account wants NAMESPACE/NAME, not {asked.service_account!r}")
    print(users.for_service_account(lab, namespace, name, asked.output))


def do_fault(lab: Lab, asked: argparse.Namespace) -> None:
    """Cause or end a fault."""
    getattr(faults, asked.act)(lab, asked.target)


def do_kubelet(lab: Lab, asked: argparse.Namespace) -> None:
    """Restart a kubelet with the given options."""
    faults.configure_kubelet(lab, asked.node, **{k: v for k, v in log_options(asked).items() if v is not None})


def do_down(lab: Lab, _asked: argparse.Namespace) -> None:
    """Remove the lab."""
    print(f"{lab.name}: {'is down' if lifecycle.down(lab) else 'was not up'}")


def do_leftovers(lab: Lab, _asked: argparse.Namespace) -> None:
    """List all that exists of the lab."""
    found = lifecycle.leftovers(lab.name)
    print("\n".join(found) or f"nothing of the lab {lab.name!r}")
    if found:
        sys.exit(1)


def main() -> None:
    """Parse the command line and run the command."""
    top = parser()
    asked = top.parse_args()
    if not NAME.fullmatch(asked.name):
        top.error(f"--name: at most 11 small letters, digits and dashes, not {asked.name!r}")
    if reason := packages.unfit():
        print(f"lab: this machine cannot hold a lab: {reason}", file=sys.stderr)
        sys.exit(CANNOT)
    os.umask(0o022)
    try:
        globals()[f"do_{asked.command}"](Lab(asked.name), asked)
    except LabError as failed:
        sys.exit(f"lab: {failed}")


if __name__ == "__main__":
    main()
