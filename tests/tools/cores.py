# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read requirements/ansible-core.txt: the releases of ansible-core that the collection supports.

Runs on the bare system Python: standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from workspace import ROOT

TABLE = ROOT / "requirements" / "ansible-core.txt"
CONSTRAINTS = ROOT / "requirements" / "constraints.txt"
LINE = re.compile(r"(\d+\.\d+)(\.\d+)\s+3\.(\d+) to 3\.(\d+)((?:\s+\S+==\S+)*)")


@dataclass(frozen=True)
class Core:
    """One release. pythons: the minor versions of Python 3 that it supports; pins: requirements of its own."""

    release: str
    version: str
    pythons: range
    pins: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The name of its virtual environment."""
        return f"core-{self.release}"

    @property
    def requirements(self) -> list[str]:
        """The packages to install, exactly."""
        return [f"ansible-core=={self.version}", *self.pins]

    def constraints(self) -> list[str]:
        """Return constraints.txt without the packages that this release pins otherwise."""
        own = {re.split("==", requirement)[0] for requirement in self.requirements}
        lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.partition("==")[0] not in own]


def read(lines: Iterable[str]) -> list[Core]:
    """Return the releases in these lines. ValueError that names a line that has another form."""
    found = []
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        if not match:
            raise ValueError(f"{TABLE.name}: {line}")
        release, patch, oldest, newest, pins = match.groups()
        found.append(Core(release, release + patch, range(int(oldest), int(newest) + 1), tuple(pins.split())))
    return found


CORES = {core.kind: core for core in read(TABLE.read_text(encoding="utf-8").splitlines())}
