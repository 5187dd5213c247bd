# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test flame graphs, and our files in speedscope, in a real browser.

    python3 tests/tools/browser.py

The browser is Debian's chromium, installed as root on Debian when it is missing; speedscope is its npm package, kept
in the cache. Where the machine cannot have them, the check says so (exit code 77).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import debian
from steps import SKIP_CODE
from workspace import ROOT, cache, locked

NAMES = ("chromium", "chromium-browser", "google-chrome")
SPEEDSCOPE = "1.25.0"
# The browser shows files of this machine and uses no network.
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


class Absent(Exception):
    """The machine lacks something that cannot be installed here; the message says what."""


def browser() -> str:
    """Return the path of a browser. Absent when there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found
    if not debian.can_install():
        raise Absent("there is no chromium, and this is not root on Debian: `apt install chromium`")
    debian.install("chromium")
    return "/usr/bin/chromium"


def flags() -> list[str]:
    """Return the browser's options; as root it has no sandbox."""
    return [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def speedscope() -> Path:
    """Return the folder of speedscope's page and of its file schema. Absent when there is none."""
    folder = cache() / f"speedscope-{SPEEDSCOPE}"
    release = folder / "node_modules" / "speedscope" / "dist" / "release"
    with locked(folder):
        if not (release / "index.html").exists():
            if not shutil.which("npm"):
                raise Absent("there is no npm, and speedscope comes from it: `apt install npm`")
            install = ["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run([*install, f"speedscope@{SPEEDSCOPE}"], check=True, stdout=sys.stderr)
    return release


def main() -> int:
    """Prepare, then run the tests."""
    try:
        browser()
        speedscope()
    except Absent as absent:
        print(absent)
        return SKIP_CODE
    return subprocess.run(["pytest", "-q", "tests/browser"], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
