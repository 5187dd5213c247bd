# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler on one machine."""

from __future__ import annotations

import json
from pathlib import Path

from .api import Api
from .core import write
from .machine import Machine, Part
from .pki import Authority, certificate_credentials, kubeconfig, write_kubeconfig
from .plan import Places, Plan

# A kubeconfig of its own for each client of the API server. Kubernetes defines the users and groups.
USERS = {
    "admin": ("lab-admin", ["system:masters"]),
    "controller-manager": ("system:kube-controller-manager", []),
    "scheduler": ("system:kube-scheduler", []),
}
# This group permits the API server to use the kubelet's exec and logs.
KUBELET_CLIENT = ("kube-apiserver-kubelet-client", ["system:masters"])
# Every request is logged, also one without a response: a test that asserts "no exec was sent" must be able to fail. A
# request has up to three lines (stages) with one auditID.
AUDIT_POLICY = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}
AUDIT_LOG = "audit.log"
ETC = "/run/lab/etc"


def prepare(plan: Plan, places: Places, authority: Authority) -> None:
    """Write certificates, kubeconfigs and configuration of the control plane."""
    etc = places.machine(plan.control_plane) / "etc"
    server = authority.issue(
        "apiserver",
        "kube-apiserver",
        addresses=[plan.control_plane_ip, "127.0.0.1", plan.address(200, 1), "kubernetes", "kubernetes.default.svc"],
    )
    kubelet_client = authority.issue("kubelet-client", *KUBELET_CLIENT)
    for name, (user, groups) in USERS.items():
        credentials = certificate_credentials(authority.issue(name, user, groups))
        text = kubeconfig(plan.server, authority.pair.cert, credentials, plan.lab, user)
        write_kubeconfig(places.kubeconfig(name) if name == "admin" else etc / f"{name}.conf", text)
    tokens = authority.directory / "service-accounts.key"
    for name, source in {
        "ca.crt": authority.pair.cert,
        "apiserver.crt": server.cert,
        "apiserver.key": server.key,
        "kubelet-client.crt": kubelet_client.cert,
        "kubelet-client.key": kubelet_client.key,
        "service-accounts.key": tokens,
        "service-accounts.pub": tokens.with_suffix(".pub"),
    }.items():
        write(etc / name, source.read_bytes())
    write(etc / "audit-policy.json", json.dumps(AUDIT_POLICY))


def parts(plan: Plan, authority: Authority, machine: Machine) -> list[Part]:
    """Return the daemons in the order of their dependencies."""

    def api() -> bool:
        return Api(plan.server, authority).answers("/readyz")

    def listens(port: int) -> bool:
        return listening(machine.pid, port)

    return [
        Part("etcd", etcd(plan), lambda: listens(2379)),
        Part("kube-apiserver", apiserver(plan), api),
        Part("kube-controller-manager", controller_manager(), lambda: listens(10257)),
        Part("kube-scheduler", scheduler(), lambda: listens(10259)),
    ]


def etcd(plan: Plan) -> list[str]:
    """Return the command of etcd: on loopback, and without fsync, because no data outlives the lab."""
    return [
        "etcd", f"--name={plan.lab}", "--data-dir=/run/lab/etcd", "--unsafe-no-fsync", "--log-level=warn",
        "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
    ]  # fmt: skip


def apiserver(plan: Plan) -> list[str]:
    """Return the command of kube-apiserver."""
    return [
        "/run/kube/kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={plan.control_plane_ip}",
        "--secure-port=6443",
        f"--tls-cert-file={ETC}/apiserver.crt",
        f"--tls-private-key-file={ETC}/apiserver.key",
        f"--client-ca-file={ETC}/ca.crt",
        f"--service-account-key-file={ETC}/service-accounts.pub",
        f"--service-account-signing-key-file={ETC}/service-accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={plan.service_cidr}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--kubelet-certificate-authority={ETC}/ca.crt",
        f"--kubelet-client-certificate={ETC}/kubelet-client.crt",
        f"--kubelet-client-key={ETC}/kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--audit-policy-file={ETC}/audit-policy.json",
        f"--audit-log-path=/var/log/{AUDIT_LOG}",
        "--audit-log-mode=blocking",  # a line is in the file before the client has the response
        "--audit-log-maxsize=4096",  # megabytes: no rotation while a test reads it
    ]


def controller_manager() -> list[str]:
    """Return the command of kube-controller-manager."""
    config = f"{ETC}/controller-manager.conf"
    return [
        "/run/kube/kube-controller-manager",
        f"--kubeconfig={config}", f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1", "--leader-elect=false", "--use-service-account-credentials=true",
        f"--service-account-private-key-file={ETC}/service-accounts.key", f"--root-ca-file={ETC}/ca.crt",
        "--kube-api-qps=200", "--kube-api-burst=400",
    ]  # fmt: skip


def scheduler() -> list[str]:
    """Return the command of kube-scheduler."""
    config = f"{ETC}/scheduler.conf"
    return [
        "/run/kube/kube-scheduler",
        f"--kubeconfig={config}", f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1", "--leader-elect=false", "--kube-api-qps=200", "--kube-api-burst=400",
    ]  # fmt: skip


def listening(pid: int, port: int) -> bool:
    """Return whether some socket in the network namespace of `pid` listens on this TCP port."""
    wanted = f"{port:04X}"
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A" and local.rpartition(":")[2] == wanted:
                return True
    return False
