# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the lab itself, on labs of their own: the one of other tests is not touched.

Needs root on Debian and everything built (`lab.py build`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(1, str(HERE.parent / "tools"))

from lablib import cgroups, faults, lifecycle, packages, users
from lablib.core import LabError, wait_for
from lablib.images import BUSYBOX
from lablib.lifecycle import Lab

UNFIT = packages.unfit()
pytestmark = pytest.mark.skipif(bool(UNFIT), reason=f"no test cluster: {UNFIT}")

NAME = "selftest"

SYSCTLS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")


def lab_py(*arguments: str, name: str = NAME, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run lab.py as a user does."""
    done = subprocess.run(
        [sys.executable, HERE / "lab.py", "--name", name, *arguments], capture_output=True, text=True, check=False
    )
    if code is not None:
        assert done.returncode == code, done.stdout + done.stderr
    return done


def up(*arguments: str, name: str = NAME) -> tuple[dict[str, Any], str]:
    """Return the state after `up`, and its output."""
    said = lab_py("up", *arguments, name=name).stderr
    return state(name), said


def state(name: str = NAME) -> dict[str, Any]:
    return dict(json.loads(lab_py("status", "--json", name=name).stdout))


def pids(known: dict[str, Any]) -> list[int]:
    return [machine["pid"] for machine in [known["control_plane"], *known["nodes"]]]


def kubectl(*arguments: str, stdin: str = "", code: int | None = 0, kubeconfig: str = "") -> str:
    known = state()
    command = [known["kubectl"], "--kubeconfig", kubeconfig or known["kubeconfig"], *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if code is not None:
        assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def ready_nodes(name: str = NAME) -> set[str]:
    return Lab(name).api.ready_nodes()


def snapshot() -> dict[str, object]:
    """Return the state of the machine that `down` must restore, read without the lab's own code."""

    def said(*command: str) -> list[str]:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    others = ("cpl-",)  # other labs start and end
    return {
        "links": [link for link in said("ip", "-brief", "link") if NAME in link or not link.startswith(others)],
        "routes": [route for route in said("ip", "route", "show", "table", "all") if "cpl-" not in route or NAME in route],
        "mounts": sorted(line.split(" ", 2)[2] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "groups": [str(path) for root in cgroups.hierarchies() for path in root.glob(f"*{NAME}*")],
        "etc": sorted(os.listdir("/etc")),
        "opt": sorted(os.listdir("/opt")),
        "sysctl": [Path("/proc/sys", key).read_text() for key in SYSCTLS],
    }  # fmt: skip


@pytest.fixture(scope="module")
def before() -> dict[str, object]:
    lab_py("down")
    return snapshot()


@pytest.fixture(scope="module")
def started(before: dict[str, object]) -> Iterator[None]:
    """Return a lab that the tests of this module share; each test leaves it intact."""
    assert before
    up()
    yield
    lab_py("down")


@pytest.fixture(scope="module")
def pods(started: None) -> dict[str, str]:
    """Return a running pod on each node: node -> pod. They log a line a millisecond, and serve a page."""
    assert started is None
    script = "echo ready; mkdir /www; echo here >/www/page; httpd -p 8080 -h /www; while :; do echo $RANDOM; usleep 1000; done"
    names = {node["name"]: f"pod-{node['name']}" for node in state()["nodes"]}
    manifests = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod},
            "spec": {
                "nodeName": node,
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {"name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["sh", "-c", script]}
                ],
            },
        }
        for node, pod in names.items()
    ]
    kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, manifests)))
    kubectl("wait", "--for=condition=Ready", "--timeout=60s", *(f"pod/{pod}" for pod in names.values()))
    return names


@pytest.mark.usefixtures("started")
class TestOrdinaryUse:
    def test_all_nodes_are_ready(self) -> None:
        assert ready_nodes() == {f"{NAME}-node1", f"{NAME}-node2"}

    def test_second_up_changes_nothing(self) -> None:
        first = state()
        second, said = up()
        assert second == first
        assert "is up" in said

    def test_second_build_builds_nothing(self) -> None:
        assert lab_py("build").stderr == ""

    def test_pods_log_exec_and_reach_each_other(self, pods: dict[str, str]) -> None:
        one, other = pods.values()
        assert kubectl("logs", one).splitlines()[0] == "ready"
        address = kubectl("get", "pod", other, "-o", "jsonpath={.status.podIP}")
        assert kubectl("exec", one, "--", "wget", "-qO-", f"http://{address}:8080/page") == "here\n"

    def test_audit_log_has_every_request(self, pods: dict[str, str]) -> None:
        pod = next(iter(pods.values()))
        kubectl("exec", pod, "--", "echo", "for-the-audit")
        with open(state()["audit_log"], encoding="utf-8") as lines:
            events = [json.loads(line) for line in lines if "for-the-audit" in line]
        assert {event["stage"] for event in events} >= {"RequestReceived", "ResponseStarted"}
        assert {event["objectRef"]["name"] for event in events} == {pod}

    @pytest.mark.parametrize("index", [0, 1])
    def test_node_is_an_ssh_host_with_its_own_files(self, index: int) -> None:
        node = state()["nodes"][index]
        ssh = [
            "ssh",
            "-i",
            node["ssh_key"],
            "-o",
            f"UserKnownHostsFile={node['ssh_known_hosts']}",
            "-o",
            "BatchMode=yes",
        ]
        script = (
            "hostname; python3 -c 'import sys; print(sys.version_info >= (3, 7))'; ls -A /root /tmp /opt/yunion;"
            "mkdir -p /opt/yunion/bin; echo $$ >/root/mark; echo $$ >/tmp/mark; echo $$ >/etc/mark"
        )
        done = subprocess.run([*ssh, f"root@{node['ip']}", script], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [node["name"], "True", "/opt/yunion:", "/root:", "/tmp:"]
        lab_py("exec", node["name"], "--", "rm", "-r", "/root/mark", "/tmp/mark", "/opt/yunion/bin")
        assert not Path("/etc/mark").exists()
        assert not Path("/opt/yunion").exists() or not Path("/opt/yunion/bin").exists()

    def test_exec_sees_only_the_node(self) -> None:
        seen = lab_py("exec", "node1", "--", "sh", "-c", "hostname; cat /proc/1/comm; cat /proc/self/cgroup").stdout
        name, init, *groups = seen.splitlines()
        assert (name, init) == (f"{NAME}-node1", "tini")
        assert {line.rpartition(":")[2] for line in groups} == {f"/{cgroups.SYSTEM}"}
        assert lab_py("exec", "node1", "--", "false", code=None).returncode == 1

    def test_lab_processes_have_priority_on_a_busy_machine(self) -> None:
        """Check that one process inside uses two seconds of a processor before any of four outside has used one."""
        use = "import os, sys, time; os.sched_setaffinity(0, {0})\nwhile time.process_time() < int(sys.argv[1]): pass"
        outside = [subprocess.Popen([sys.executable, "-c", use, "1"], start_new_session=True) for _one in range(4)]
        try:
            lab_py("exec", "node1", "--", "python3", "-c", use, "2")
            assert [each.poll() for each in outside] == [None] * 4
        finally:
            for each in outside:
                each.kill()
                each.wait()

    def test_machines_have_no_route_to_the_outside(self) -> None:
        for machine in ("cp", "node1"):
            assert "default" not in lab_py("exec", machine, "--", "ip", "route").stdout

    def test_users_have_their_rbac_permissions(self) -> None:
        lab = Lab(NAME)
        stranger = users.for_user(lab, "some/one:else")
        viewer = users.for_user(lab, "viewer", ["lab:viewers"])
        binding = ["clusterrolebinding", "viewers"]
        kubectl("create", *binding, "--clusterrole=view", "--group=lab:viewers")
        assert "Forbidden" in kubectl("get", "pods", kubeconfig=str(stranger), code=1)
        kubectl("get", "pods", kubeconfig=str(viewer))
        kubectl("delete", *binding)
        account = lab_py("kubeconfig", "--service-account", "default/default").stdout.strip()
        assert Path(account).stat().st_mode & 0o777 == 0o600
        assert "system:serviceaccount:default:default" in kubectl("get", "pods", kubeconfig=account, code=1)

    def test_unknown_machine_or_part_fails_with_the_known_names(self) -> None:
        assert f"{NAME}-node2" in lab_py("exec", "node9", "--", "true", code=1).stderr
        assert "containerd" in lab_py("fault", "stop", "node1/dockerd", code=1).stderr

    def test_second_lab_runs_in_parallel(self) -> None:
        first = pids(state())
        try:
            other, _unused = up("--nodes", "1", name="second")
            assert other["network"] != state()["network"]
            assert ready_nodes("second") == {"second-node1"}
        finally:
            lab_py("down", name="second")
        assert lifecycle.leftovers("second") == []
        assert pids(state()) == first
        assert lifecycle.troubles(Lab(NAME)) == []


class TestFaults:
    @pytest.mark.parametrize("target", ["node1/kubelet", "node1/containerd", "node1"])
    def test_exec_hangs_on_a_frozen_machine(self, pods: dict[str, str], target: str) -> None:
        pod = pods[f"{NAME}-node1"]
        lab = Lab(NAME)
        known = state()
        command = [known["kubectl"], "--kubeconfig", known["kubeconfig"], "exec", pod, "--", "true"]
        faults.freeze(lab, target)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                subprocess.run(command, check=False, capture_output=True, timeout=3)
            kubectl("exec", pods[f"{NAME}-node2"], "--", "true")
        finally:
            faults.thaw(lab, target)
        wait_for("exec after the thaw", lambda: not subprocess.run(command, check=False).returncode)
        wait_for("whole lab", lambda: not lifecycle.troubles(lab))

    def test_freezes_and_thaws_a_container(self, pods: dict[str, str]) -> None:
        node, pod = next(iter(pods.items()))
        told = kubectl("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].containerID}")
        lab, target = Lab(NAME), f"{node}/{told.partition('://')[2]}"

        def state_inside() -> str:
            return kubectl("exec", pod, "--", "grep", "State:", "/proc/1/status").split()[1]

        faults.freeze(lab, target)
        try:
            assert state_inside() == "T"
        finally:
            faults.thaw(lab, target)
        assert state_inside() != "T"
        with pytest.raises(LabError, match="has no container"):
            faults.freeze(lab, f"{node}/{'0' * 64}")

    def test_stops_and_starts_the_api_server(self, pods: dict[str, str]) -> None:
        lab = Lab(NAME)
        lab_py("fault", "stop", "cp/kube-apiserver")
        assert not lab.api.answers("/readyz")
        lab_py("fault", "start", "cp/kube-apiserver")
        assert lab.api.answers("/readyz")
        for pod in pods.values():
            kubectl("exec", pod, "--", "true")

    def test_rotates_container_logs_at_the_configured_size(self, pods: dict[str, str]) -> None:
        node, pod = next(iter(pods.items()))
        logs = Lab(NAME).machine(node).logs / "pods"
        lab_py("kubelet", node, "--container-log-max-size", "16Ki", "--container-log-max-files", "3")
        try:
            wait_for("rotation", lambda: len(list(logs.glob(f"default_{pod}_*/main/0.log.*"))) > 0)
        finally:
            lab_py("kubelet", node)


class TestCrashes:
    """Tests that kill a part; `up` repairs the lab."""

    @pytest.mark.usefixtures("started")
    @pytest.mark.parametrize(
        "target",
        ["node1/containerd", "node2/kubelet", "node1/sshd", "cp/kube-apiserver", "cp/etcd", "cp/kube-scheduler"],
    )
    def test_up_replaces_a_lab_with_a_dead_part(self, target: str) -> None:
        faults.kill(Lab(NAME), target)
        assert "is dead" in lab_py("status", code=1).stderr
        _unused, said = up()
        assert f"{target.partition('/')[2]} of {NAME}-{target.partition('/')[0]} is dead" in said
        assert ready_nodes() == {f"{NAME}-node1", f"{NAME}-node2"}
        assert lifecycle.troubles(Lab(NAME)) == []

    @pytest.mark.usefixtures("started")
    def test_up_replaces_a_lab_with_a_dead_node(self) -> None:
        os.kill(state()["nodes"][0]["pid"], signal.SIGKILL)
        with pytest.raises(LabError, match="does not run"):
            wait_for("death", lambda: Lab(NAME).machine("node1").pid == 0)
        up()
        assert ready_nodes() == {f"{NAME}-node1", f"{NAME}-node2"}

    @pytest.mark.usefixtures("started")
    def test_up_replaces_a_lab_with_a_frozen_machine(self) -> None:
        faults.freeze(Lab(NAME), "node2")
        lab_py("down")
        assert lifecycle.leftovers(NAME) == []
        up()

    def test_up_and_down_recover_from_a_killed_up(self, started: None) -> None:
        """Kill `up` at moments spread over its whole run; `up` and `down` handle each state."""
        assert started is None
        lab_py("down")
        began = time.monotonic()
        up()
        takes = time.monotonic() - began
        for number in range(10):
            lab_py("down")
            child = subprocess.Popen(
                [sys.executable, HERE / "lab.py", "--name", NAME, "up"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                child.wait(timeout=takes * number / 10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if number % 2:
                lab_py("down")
                assert lifecycle.leftovers(NAME) == [], f"killed after {number}/10 of its time"
            else:
                up()
                assert lifecycle.troubles(Lab(NAME)) == [], f"killed after {number}/10 of its time"
        up()


class TestEnd:
    def test_changed_options_replace_the_lab(self, started: None) -> None:
        assert started is None
        known, _unused = up("--nodes", "1", "--container-log-max-size", "64Ki")
        assert [node["name"] for node in known["nodes"]] == [f"{NAME}-node1"]
        assert up()[0] == known  # options that are not given stay unchanged
        assert "nodes must be" in lab_py("up", "--nodes", "0", code=1).stderr

    def test_down_leaves_nothing(self, before: dict[str, object]) -> None:
        up()
        inside = pids(state())
        assert lab_py("leftovers", code=1).stdout.count("process ") > len(inside)
        lab_py("down")
        assert lab_py("leftovers").stdout == f"nothing of the lab '{NAME}'\n"
        assert snapshot() == before
        assert not any(Path(f"/proc/{pid}").exists() for pid in inside)
        assert "was not up" in lab_py("down").stdout
        assert "is not up" in lab_py("status", code=1).stderr
