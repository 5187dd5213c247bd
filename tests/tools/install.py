# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the tarball and run a playbook: with every supported release of ansible-core, and by other programs.

    python3 tests/tools/install.py

Makes the environments of the releases and runs tests/install. Then it runs, with the oldest release, the tests that no
text of a node is executed as a template: releases before 2.19 treat every text as one unless it is marked. Where a
release cannot be had, the check says so (exit code 77) after the tests of the others have passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import make_venv
from cores import CORES
from steps import SKIP_CODE
from workspace import ROOT

PYTEST = ("-m", "pytest", "-q", "-n", "2")
# The environment of a release has ansible-core alone. Audits and profiles need more libraries.
TEMPLATES = ("tests/contract/test_hostile_node.py", "-k", "template and not audit_health and not capture_profiles")


def run(*arguments: str, path: Path | None = None) -> int:
    """Run pytest of this environment; path: a folder whose programs its tests find first."""
    found = os.environ["PATH"] if path is None else f"{path}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, *PYTEST, *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": found}, check=False).returncode


def main() -> int:
    """Prepare, then run the tests."""
    made: dict[str, Path] = {}
    missing = []
    for kind in CORES:
        try:
            made[kind] = make_venv.ensure(kind)
        except make_venv.Unfit as unfit:
            missing.append(str(unfit))
    print(*missing, sep="\n")
    code = run("tests/install")
    oldest = next(iter(CORES))
    if not code and oldest in made:
        code = run(*TEMPLATES, path=made[oldest] / "bin")
    return code or (SKIP_CODE if missing else 0)


if __name__ == "__main__":
    sys.exit(main())
