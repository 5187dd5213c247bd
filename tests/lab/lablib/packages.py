# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages of the lab. None of their daemons is started or enabled: the lab starts its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import debian

from .core import LabError, run, say, write

# Package -> one of its files that the lab uses. If the file exists, the package is not needed.
PACKAGES = {
    "busybox-static": "/bin/busybox",
    "containerd": "/usr/bin/containerd",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "etcd-server": "/usr/bin/etcd",
    "iproute2": "/sbin/ip",
    "mount": "/bin/mount",
    "openssh-client": "/usr/bin/ssh-keygen",
    "openssh-server": "/usr/sbin/sshd",
    "openssl": "/usr/bin/openssl",
    "procps": "/sbin/sysctl",
    "python3": "/usr/bin/python3",
    "runc": "/usr/sbin/runc",
    "tini": "/usr/bin/tini",
    "util-linux": "/usr/bin/nsenter",
}
# Further packages of some tests.
JAVA = {"default-jre-headless": "/usr/bin/java"}
UNITS = {"containerd": "containerd", "etcd-server": "etcd", "openssh-server": "ssh"}  # package -> its systemd unit
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_ASIDE = Path("/usr/sbin/policy-rc.d.before-lab")


def unfit() -> str:
    """Return why this machine cannot run a lab; empty if it can."""
    if sys.version_info < (3, 10):
        return f"it needs Python >= 3.10, not {sys.version.split()[0]}"
    if not sys.platform.startswith("linux") or not shutil.which("apt-get"):
        return "its parts are Debian packages, and this is no Debian"
    if os.geteuid() != 0:
        return "namespaces, mounts and control groups need root"
    return ""


def missing(packages: dict[str, str]) -> list[str]:
    """Return the missing ones of these packages."""
    return [package for package, file in packages.items() if not Path(file).exists()]


def ensure(packages: dict[str, str] | None = None) -> None:
    """Install the missing ones of these packages, by default of all that the lab uses."""
    packages = PACKAGES if packages is None else packages
    wanted = missing(packages)
    if not wanted:
        return
    say(f"installing {' '.join(wanted)}")
    with services_kept_off(wanted):
        try:
            debian.install(*wanted)
        except subprocess.CalledProcessError as failed:
            raise LabError(f"`{' '.join(failed.cmd)}` ended with {failed.returncode}, see above") from failed
    if missing(packages):
        raise LabError(f"installed, and yet without the files that are needed: {', '.join(missing(packages))}")


@contextlib.contextmanager
def services_kept_off(wanted: list[str]) -> Iterator[None]:
    """Keep Debian from starting the daemons that it installs, now and at every boot."""
    if POLICY.exists() and not POLICY_ASIDE.exists():  # after a crash this file is ours; the original is the backup
        POLICY.rename(POLICY_ASIDE)
    write(POLICY, "#!/bin/sh\nexit 101\n", 0o755)
    try:
        yield
    finally:
        POLICY.unlink()
        if POLICY_ASIDE.exists():
            POLICY_ASIDE.rename(POLICY)
    if Path("/run/systemd/system").exists():
        for package in UNITS.keys() & set(wanted):
            run(["systemctl", "disable", UNITS[package]])
