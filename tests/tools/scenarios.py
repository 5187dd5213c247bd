# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the molecule scenarios with the collection as a user gets it: built and installed.

    python3 tests/tools/scenarios.py [SCENARIO ...]

One after the other, for they share the lab; none hides a later one. What molecule writes goes to the cache and is
made anew each time. Exit code 0: all passed. Wants the tools of the virtual environment on the PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import collection
from workspace import ROOT, checkout_cache, locked

SCENARIOS = ROOT / "extensions" / "molecule"


def names() -> list[str]:
    """Every scenario there is."""
    return sorted(path.parent.name for path in SCENARIOS.glob("*/molecule.yml"))


def main() -> int:
    """Run those that are asked for; return 1 when one failed."""
    asked = sys.argv[1:] or names()
    if unknown := sorted({*asked} - {*names()}):
        sys.exit(f"scenarios: no {', '.join(unknown)}; there are {', '.join(names())}")
    home = checkout_cache() / "molecule"
    with locked(home):
        shutil.rmtree(home, ignore_errors=True)
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(collection.install()),
            "ANSIBLE_HOME": str(home),  # molecule puts its own files below it, too
            "MOLECULE_COMMAND_BORDERS": "false",
        }
        failed = [
            name
            for name in asked
            if subprocess.run(["molecule", "test", "-s", name], cwd=ROOT, env=environment, check=False).returncode
        ]
    print(f"scenarios: {len(asked) - len(failed)} passed, {len(failed)} failed {' '.join(failed)}".rstrip())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
