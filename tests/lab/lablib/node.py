# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node: containerd, kubelet and sshd on one machine, and the images in its containerd."""

from __future__ import annotations

import json
from pathlib import Path

from . import controlplane
from .api import Api
from .core import run, write
from .images import PAUSE
from .machine import Machine, Part
from .pki import Authority, certificate_credentials, kubeconfig, ssh_keys, write_kubeconfig
from .plan import Node, Options, Places, Plan

ETC = "/run/lab/etc"
SOCKET = "/run/containerd/containerd.sock"
SSH_PORT = 22
# The kubelet keeps one. Once a minute it counts a created but not yet started container as that one. If a container
# restarts at that moment, the log of its predecessor is deleted (pkg/kubelet/kuberuntime/kuberuntime_gc.go,
# evictableContainers).
DEAD_CONTAINERS = 100

# restrict_oom_score_adj: machines without CAP_SYS_RESOURCE may not lower a score, and every sandbox would end with the
# attempt. disable_apparmor: its profiles would be loaded into the host's kernel.
CONTAINERD = f"""
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{ETC}/cni"
"""

SSHD = f"""
Port {SSH_PORT}
HostKey {ETC}/ssh_host_key
PidFile none
AuthorizedKeysFile {ETC}/authorized_keys
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 200
MaxSessions 200
Subsystem sftp internal-sftp
"""


def prepare(node: Node, plan: Plan, places: Places, authority: Authority) -> str:
    """Write certificates and configuration of a node; return its line for known_hosts."""
    etc = places.machine(node.name) / "etc"
    user = f"system:node:{node.name}"
    pair = authority.issue(node.name, user, ["system:nodes"], addresses=[node.ip, node.name])
    credentials = certificate_credentials(pair)
    write_kubeconfig(etc / "kubelet.conf", kubeconfig(plan.server, authority.pair.cert, credentials, plan.lab, user))
    write(etc / "ca.crt", authority.pair.cert.read_bytes())
    write(etc / "kubelet.crt", pair.cert.read_bytes())
    write(etc / "kubelet.key", pair.key.read_bytes())
    write(etc / "kubelet.json", json.dumps(kubelet_configuration(plan.options), indent=2))
    write(etc / "containerd.toml", CONTAINERD)
    write(etc / "cni" / "10-lab.conflist", json.dumps(cni(node), indent=2))
    write(etc / "sshd_config", SSHD)
    write(etc / "authorized_keys", Path(f"{places.ssh_key}.pub").read_bytes())
    kind, key = ssh_keys(etc / "ssh_host_key").split()[:2]
    return f"{node.ip},{node.name} {kind} {key}\n"


def kubelet_configuration(options: Options) -> dict[str, object]:
    """Return the KubeletConfiguration. It evicts no pod, because the disk is the test machine's."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{ETC}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{ETC}/kubelet.crt",
        "tlsPrivateKeyFile": f"{ETC}/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "resolvConf": "",
        "maxPods": options.max_pods,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "eventRecordQPS": 0,
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
                         "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
        "containerLogMaxSize": options.container_log_max_size,
        "containerLogMaxFiles": options.container_log_max_files,
        "containerLogMonitorInterval": "3s",  # the minimum
    }  # fmt: skip


def cni(node: Node) -> dict[str, object]:
    """Return the pod network of a node: a bridge, routed, without address translation."""
    return {
        "cniVersion": "0.4.0",
        "name": "lab",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": node.pod_cidr}]], "dataDir": "/run/cni",
                         "routes": [{"dst": "0.0.0.0/0"}]},
            }
        ],
    }  # fmt: skip


def parts(node: Node, plan: Plan, authority: Authority, machine: Machine) -> list[Part]:
    """Return the daemons in the order of their dependencies."""
    kubelet = [
        "/run/kube/kubelet",
        f"--config={ETC}/kubelet.json",
        f"--kubeconfig={ETC}/kubelet.conf",
        f"--hostname-override={node.name}",
        f"--node-ip={node.ip}",
        f"--maximum-dead-containers-per-container={DEAD_CONTAINERS}",
    ]

    def serves() -> bool:
        return f"{SOCKET}\n" in Path(f"/proc/{machine.pid}/net/unix").read_text()

    def node_ready() -> bool:
        return node.name in Api(plan.server, authority).ready_nodes()

    return [
        Part("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", f"{ETC}/sshd_config"],
             lambda: controlplane.listening(machine.pid, SSH_PORT)),
        Part("containerd", ["containerd", "--config", f"{ETC}/containerd.toml"], serves),
        Part("kubelet", kubelet, node_ready),
    ]  # fmt: skip


def present_images(machine: Machine) -> set[str]:
    """Return the names of the images in a node's containerd."""
    return set(run([*ctr(machine), "images", "list", "-q"]).split())


def import_image(machine: Machine, archive: Path) -> None:
    """Load an image archive into a node's containerd; an image of the same name is replaced."""
    # The machine may mount its own files over the archive's path, so the archive is passed as stdin.
    run([*ctr(machine), "images", "import", "-"], stdin=archive)


def ctr(machine: Machine) -> list[str]:
    """Run the containerd client, in the namespace of images that Kubernetes uses."""
    return [*machine.enter(), "ctr", "--address", SOCKET, "-n", "k8s.io"]
