# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks made by tools that are no Python packages.

    python3 tests/tools/system_lint.py shellcheck|gofmt|actionlint|go

shellcheck is Debian's, since its package on PyPI downloads the program from elsewhere. As root on Debian
it is installed when missing; elsewhere the check says that it was skipped (exit code 77). Go is the
machine's, or the virtual environment's, and builds actionlint at the version that tests/tools/actionlint/go.mod pins.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import debian
from steps import SKIP_CODE
from workspace import ROOT, cache

ACTIONLINT = ROOT / "tests/tools/actionlint"
SHELLS = ("#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash")
GO_TESTED = ("tests/lab/services",)  # the Kubernetes module is vetted by building it: five minutes of compiling


def git_files(*patterns: str) -> list[str]:
    """Return the existing files that Git tracks or would add and that match."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    return [name for name in dict.fromkeys(names) if name and (ROOT / name).is_file()]


def is_shell(path: Path) -> bool:
    """Return whether shellcheck can read the file, by its name or its first line."""
    with open(path, "rb") as file:
        first = file.readline(64).decode(errors="replace").strip()
    return path.suffix == ".sh" or first in SHELLS


def shellcheck() -> int:
    """Check every shell script."""
    if not shutil.which("shellcheck"):
        if not debian.can_install():
            print("shellcheck is not installed, and this is not root on Debian: `apt install shellcheck`")
            return SKIP_CODE
        debian.install("shellcheck")
    scripts = [name for name in git_files() if is_shell(ROOT / name)]
    return subprocess.run(["shellcheck", *scripts], cwd=ROOT, check=False).returncode if scripts else 0


def gofmt() -> int:
    """Fail on Go files that are not formatted, naming them with the difference."""
    root = subprocess.run(["go", "env", "GOROOT"], check=True, capture_output=True, text=True).stdout.strip()
    done = subprocess.run([f"{root}/bin/gofmt", "-d", *git_files("*.go")], cwd=ROOT, check=False, capture_output=True)
    sys.stdout.buffer.write(done.stdout + done.stderr)
    return done.returncode or (1 if done.stdout else 0)


def go_environment() -> dict[str, str]:
    """Return the variables for Go: all that it writes goes to the cache."""
    caches = {"GOCACHE": str(cache() / "go-build"), "GOMODCACHE": str(cache() / "go-mod")}
    return {**os.environ, **caches, "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw"}


def actionlint() -> int:
    """Check the workflows."""
    command = ["go", "tool", "actionlint", *map(str, sorted((ROOT / ".github/workflows").glob("*.yml")))]
    return subprocess.run(command, cwd=ACTIONLINT, env=go_environment(), check=False).returncode


def go() -> int:
    """Vet and test the Go modules that are ours alone."""
    environment = go_environment()
    codes = [
        subprocess.run(["go", verb, "./..."], cwd=ROOT / module, env=environment, check=False).returncode
        for module in GO_TESTED
        for verb in ("vet", "test")
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit({"shellcheck": shellcheck, "gofmt": gofmt, "actionlint": actionlint, "go": go}[sys.argv[1]]())
