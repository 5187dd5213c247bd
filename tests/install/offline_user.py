# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user with some programs and without a network, and the services of the demo that they capture."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workspace import ROOT

sys.path.insert(0, str(ROOT / "tests" / "lab"))

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import COMPONENTS, DUMPS
from deploy import processes

# As root, a network of their own without any interface that is up.
OFFLINE = ("unshare", "--net", "--") if os.geteuid() == 0 and shutil.which("unshare") else ()
PLAYBOOK = "cloudpods.diagnostics.capture_stacks"
INSTALL = ROOT / "docs" / "install.md"


@dataclass(frozen=True)
class User:
    """User with some programs and without a network.

    home: the installed files. programs: the folder of their programs. closed: a port on which nothing listens. folder:
    the working folder.
    """

    home: Path
    programs: Path
    closed: int
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return an environment without the checkout and with every way to the network closed."""
        nowhere = f"http://127.0.0.1:{self.closed}"
        return {
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_GALAXY_SERVER": nowhere,
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "HOME": str(self.home),
            "HTTPS_PROXY": nowhere,
            "HTTP_PROXY": nowhere,
            "LANG": "C.UTF-8",
            "PATH": os.pathsep.join((str(self.programs), os.defpath)),
            "PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX", ""),
        }

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the user's programs, or one with a path, in the user's folder."""
        return subprocess.run(
            [*OFFLINE, str(self.programs / program), *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def install(self, tarball: Path) -> None:
        """Install the collection by the command in docs/install.md."""
        (command,) = re.findall(r"^\$ (ansible-galaxy .* --offline)$", INSTALL.read_text(), re.MULTILINE)
        shutil.copy(tarball, self.folder)
        done = self.run("/bin/sh", "-c", command)
        assert done.returncode == 0, done.stdout + done.stderr

    def bundle(self) -> Path:
        """Return the only bundle below the user's folder."""
        (archive,) = self.folder.rglob("cloudpods-diagnostics/*.tar.gz")
        return archive

    def ledger(self) -> list[dict[str, Any]]:
        """Return the rows of the only bundle."""
        with tarfile.open(self.bundle()) as bundle:
            (name,) = (name for name in bundle.getnames() if name.endswith("/ledger.jsonl"))
            file = bundle.extractfile(name)
            assert file
            return [json.loads(line) for line in file]


def dumps_of(ledger: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """Return the number of rows of goroutine dumps by component and status."""
    return Counter((row["component"], row["status"]) for row in ledger if row["capture"] == "stack")


@dataclass(frozen=True)
class Services:
    """The services of `make demo`, running."""

    folder: Path

    @property
    def variables(self) -> dict[str, Any]:
        """Return the arguments of the demo's playbook."""
        return {
            "cloudpods_transport": "host",
            "cloudpods_components": sorted({each.component for each in processes.DEMO}),
            "cloudpods_binary_dir": str(self.folder / "opt/yunion/bin"),
        }

    @property
    def dumps(self) -> Counter[tuple[str, str]]:
        """Return the expected number of rows: a complete dump of each service that dumps into a log, else a refusal."""
        return Counter(
            (each.component, "complete" if COMPONENTS[each.component].usr1 == DUMPS and not each.lost else "refused")
            for each in processes.DEMO
        )
