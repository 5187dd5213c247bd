# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install Debian packages, one command at a time: checks that run side by side may each want some.

Runs on the bare system Python: standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from workspace import cache, locked


def can_install() -> bool:
    """Return whether packages can be installed: as root, with apt-get."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(*packages: str) -> None:
    """Install packages without what they only recommend; output to stderr. CalledProcessError when it fails."""
    # DPkg::Lock::Timeout waits for another program's dpkg, but apt has no option to wait for the lock of its lists.
    apt = ["apt-get", "-qy", "-o", "DPkg::Lock::Timeout=600"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with locked(cache() / "apt"):
        for command in ([*apt, "update"], [*apt, "install", "--no-install-recommends", *packages]):
            subprocess.run(command, check=True, stdout=sys.stderr, env=environment)
