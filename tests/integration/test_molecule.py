# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The molecule scenarios, run with the built and installed collection."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from world import LAB_NAME, ROOT, installed

MOLECULE = ROOT / "extensions" / "molecule"
SCENARIOS = sorted(path.parent.name for path in MOLECULE.glob("*/molecule.yml"))


@pytest.mark.usefixtures("lab")  # if the lab is up, a scenario leaves it up
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario_passes(tmp_path: Path, scenario: str) -> None:
    environment = {
        **os.environ,
        "LAB_NAME": LAB_NAME,
        "ANSIBLE_COLLECTIONS_PATH": str(installed()),
        # Molecule keeps its scenario files below this folder, too.
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "MOLECULE_COMMAND_BORDERS": "false",
    }
    done = subprocess.run(
        ["molecule", "test", "-s", scenario],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
