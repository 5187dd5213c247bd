# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From cgroups to containers, pods and their logs: tables of what nodes show and what is made of it."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import component_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.containers import (
    ContainerNames,
    Containers,
    NodePaths,
    Placement,
    memory_room,
    placement_of,
)

ID = "4f2b" * 16
OTHER = "9a9a" * 16
UID = "0f6f9c2a-3b1d-4c5e-8f70-123456789abc"
UNDERSCORED = UID.replace("-", "_")
STATIC = "5a3f0c1d2e4b6978a0b1c2d3e4f56789"
MIB = 1 << 20

CGROUPS = {
    "v2, systemd driver, containerd": (
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_}.slice/cri-containerd-{id}.scope",
        UID,
    ),
    "v2, systemd driver, guaranteed": ("0::/kubepods.slice/kubepods-pod{_}.slice/cri-containerd-{id}.scope", UID),
    "v2, cgroupfs driver": ("0::/kubepods/besteffort/pod{-}/{id}", UID),
    "v2, cri-o": ("0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{_}.slice/crio-{id}.scope", UID),
    "v2, cri-o with a cgroup inside": ("0::/kubepods.slice/kubepods-pod{_}.slice/crio-{id}.scope/container", UID),
    "v1, docker, cgroupfs": (
        "12:memory:/kubepods/burstable/pod{-}/{id}\n11:cpu,cpuacct:/kubepods/burstable/pod{-}/{id}\n1:name=systemd:/kubepods/burstable/pod{-}/{id}",
        UID,
    ),
    "v1, docker, systemd driver": (
        "4:memory:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_}.slice/docker-{id}.scope",
        UID,
    ),
    "v1, where only some controllers are the container's": (
        "9:name=systemd:/\n4:memory:/kubepods/burstable/pod{-}/{id}\n0::/",
        UID,
    ),
    "containerd without the systemd driver under a kubelet with it": (
        "0::/system.slice/containerd.service/kubepods-besteffort-pod{_}.slice:cri-containerd:{id}",
        UID,
    ),
    "k3s": ("0::/kubepods/burstable/pod{-}/{id}", UID),
    "a node that is itself in a container (kind)": (
        (
            "0::/docker/{other}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice"
            "/kubelet-kubepods-besteffort-pod{_}.slice/cri-containerd-{id}.scope"
        ),
        UID,
    ),
    "below a parent of its own": ("4:memory:/node1/kubepods/besteffort/pod{-}/{id}\n0::/node1", UID),
    "static pod": ("0::/kubepods/burstable/pod{static}/{id}", STATIC),
    "docker without Kubernetes, cgroupfs": ("0::/docker/{id}", ""),
    "docker without Kubernetes, systemd": ("0::/system.slice/docker-{id}.scope", ""),
    "podman": ("0::/machine.slice/libpod-{id}.scope/container", ""),
    "systemd inside of the container": ("0::/docker/{id}/system.slice/region.service", ""),
}


@pytest.mark.parametrize(("text", "uid"), CGROUPS.values(), ids=CGROUPS.keys())
def test_finds_container_of_cgroup(text, uid):
    for brace, value in (("{id}", ID), ("{other}", OTHER), ("{-}", UID), ("{_}", UNDERSCORED), ("{static}", STATIC)):
        text = text.replace(brace, value)
    assert placement_of(text + "\n") == Placement(ID, uid)


@pytest.mark.parametrize(
    "text",
    [
        "0::/",
        "0::/system.slice/yunion-executor.service",
        "0::/user.slice/user-0.slice/session-3.scope",
        "4:memory:/process/2e7fa0ff8bddd9be9cc4abd4ddef3c29\n0::/",
        f"0::/kubepods/burstable/pod{UID}",
        f"0::/docker/{ID}0",
        f"0::/docker/{ID.upper()}",
        "nonsense",
        "",
    ],
)
def test_no_container(text):
    assert placement_of(text).container_id == ""


@pytest.fixture
def layout(tmp_path):
    folders = {name: str(tmp_path / name) for name in ("cgroups", "container_logs", "pod_logs", "docker")}
    for folder in folders.values():
        os.makedirs(folder)
    return NodePaths(docker_config=str(tmp_path / "daemon.json"), **folders)


def pod_log(layout, pod="default-region-abc", container="region", number=0, uid=UID):
    folder = os.path.join(layout.pod_logs, f"onecloud_{pod}_{uid}", container)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{number}.log")
    with open(path, "w", encoding="ascii"):
        return path


def docker_config(layout, document, container_id=ID):
    folder = os.path.join(layout.docker, "containers", container_id)
    os.makedirs(folder)
    with open(os.path.join(folder, "config.v2.json"), "w", encoding="utf-8") as stream:
        json.dump(document, stream)


def names_in(layout, component="region", placement=None):
    return Containers(layout).names_of(placement or Placement(ID, UID), component_of(component))


def test_finds_names_by_kubelet_link(layout):
    path = pod_log(layout, number=3)
    os.symlink(path, os.path.join(layout.container_logs, f"default-region-abc_onecloud_region-{ID}.log"))
    os.symlink(path, os.path.join(layout.container_logs, f"other-pod_onecloud_region-{OTHER}.log"))
    assert names_in(layout) == ContainerNames("onecloud", "default-region-abc", "region", 3, path)


def test_container_name_with_dashes(layout):
    path = pod_log(layout, "default-host-x", "ovn-controller")
    os.symlink(path, os.path.join(layout.container_logs, f"default-host-x_onecloud_ovn-controller-{ID}.log"))
    found = names_in(layout, "host-ovn-controller")
    assert (found.pod, found.container) == ("default-host-x", "ovn-controller")


def test_finds_names_by_pod_folder_without_link(layout):
    pod_log(layout, number=0)
    newest = pod_log(layout, number=10)
    pod_log(layout, number=9)
    pod_log(layout, "another", uid=UID.replace("0", "1"))
    assert names_in(layout) == ContainerNames("onecloud", "default-region-abc", "region", 10, newest)


def test_chooses_component_container_of_pod(layout):
    pod_log(layout, "default-webconsole-x", "guacd")
    pod_log(layout, "default-webconsole-x", "web")
    assert names_in(layout, "webconsole").container == "web"


def test_does_not_guess_container(layout):
    pod_log(layout, "default-meter-x", "a")
    pod_log(layout, "default-meter-x", "b")
    found = names_in(layout, "meter")
    assert (found.pod, found.container, found.log_file) == ("default-meter-x", "", "")


def test_static_pod(layout):
    pod_log(layout, "etcd-node1", "etcd", uid=STATIC)
    assert names_in(layout, "etcd", Placement(ID, STATIC)).pod == "etcd-node1"


def test_docker_under_kubernetes(layout):
    docker_config(
        layout,
        {
            "Name": "/k8s_region_default-region-abc_onecloud_x_2",
            "Image": "sha256:abc",
            "LogPath": "/data/log",
            "Config": {
                "Image": "registry/region:v3.8",
                "Labels": {
                    "io.kubernetes.pod.name": "default-region-abc",
                    "io.kubernetes.pod.namespace": "onecloud",
                    "io.kubernetes.container.name": "region",
                    "annotation.io.kubernetes.container.restartCount": "2",
                },
            },
        },
    )
    expected = ContainerNames(
        "onecloud", "default-region-abc", "region", 2, "/data/log", "registry/region:v3.8", "sha256:abc"
    )
    assert names_in(layout) == expected


def test_docker_with_default_log(layout):
    docker_config(
        layout, {"Name": "/cloudpods-region-1", "RestartCount": 4, "Config": {"Image": "region", "Labels": None}}
    )
    log = os.path.join(layout.docker, "containers", ID, f"{ID}-json.log")
    assert names_in(layout).log_file == ""
    with open(log, "w", encoding="ascii"):
        pass
    found = names_in(layout)
    assert (found.pod, found.container, found.restarts, found.log_file) == ("", "cloudpods-region-1", 4, log)


def test_docker_with_another_data_root(layout, tmp_path):
    moved = NodePaths(docker_config=layout.docker_config, docker=str(tmp_path / "nowhere"))
    docker_config(layout, {"Name": "/r"})
    with open(layout.docker_config, "w", encoding="ascii") as stream:
        json.dump({"data-root": layout.docker}, stream)
    assert names_in(moved).container == "r"


@pytest.mark.parametrize("count", ["x", "-1", None, "9" * 30, {}])
def test_ignores_restart_count_that_is_no_number(layout, count):
    labels = {"annotation.io.kubernetes.container.restartCount": count}
    docker_config(layout, {"Name": "/r", "Config": {"Labels": labels}})
    assert names_in(layout).restarts >= 0


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_ignores_broken_docker_config(layout, text):
    docker_config(layout, {})
    with open(os.path.join(layout.docker, "containers", ID, "config.v2.json"), "w", encoding="utf-8") as stream:
        stream.write(text)
    assert names_in(layout) == ContainerNames()


def test_unknown_container_has_no_names(layout):
    assert names_in(layout) == ContainerNames()
    assert names_in(NodePaths(*["/nonexistent"] * 6)) == ContainerNames()
    assert names_in(layout, placement=Placement()) == ContainerNames()


def limits(layout, path, names, values):
    folder = os.path.join(layout.cgroups, path)
    os.makedirs(folder, exist_ok=True)
    for name, value in zip(names, values, strict=True):
        with open(os.path.join(folder, name), "w", encoding="ascii") as stream:
            stream.write(str(value))


V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
V2 = ("memory.max", "memory.current", "memory.stat")


def test_memory_room_v1(layout):
    stat = f"cache 5\ninactive_file 1\ntotal_inactive_file {20 * MIB}\n"
    limits(layout, "memory/kubepods/pod/c", V1, (512 * MIB, 100 * MIB, stat))
    assert memory_room(layout, "4:memory:/kubepods/pod/c\n0::/kubepods/pod/c\n") == 432 * MIB


def test_memory_room_v2(layout):
    limits(layout, "kubepods/pod/c", V2, (512 * MIB, 100 * MIB, f"anon 1\ninactive_file {20 * MIB}\n"))
    assert memory_room(layout, "0::/kubepods/pod/c\n") == 432 * MIB


@pytest.mark.parametrize(("names", "none"), [(V1, 0x7FFFFFFFFFFFF000), (V2, "max")])
def test_memory_room_is_none_without_limit(layout, names, none):
    limits(layout, "memory/a" if names is V1 else "a", names, (none, 1, ""))
    assert memory_room(layout, "4:memory:/a\n" if names is V1 else "0::/a\n") is None


def test_memory_room_includes_pod_limit(layout):
    limits(layout, "pod/c", V2, ("max", 100 * MIB, ""))
    limits(layout, "pod", V2, (300 * MIB, 100 * MIB, ""))
    assert memory_room(layout, "0::/pod/c\n") == 200 * MIB


def test_memory_room_is_none_for_broken_cgroup(layout):
    limits(layout, "a", V2, ("many", "x", ""))
    assert memory_room(layout, "0::/a\n") is None
    assert memory_room(layout, "0::/gone\n") is None
    assert memory_room(layout, "") is None
