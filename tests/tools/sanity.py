# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run `ansible-test sanity` on a copy of the checkout that lies where ansible-test wants it.

    python3 tests/tools/sanity.py [--again] [ansible-test arguments]

The copy (every file Git knows or would add) and the HOME of ansible-test are in the cache, so
neither the checkout nor the user's home is touched, and its own virtual environments are built once.
A tree that passed is not checked a second time with the same tools; `--again` does.
Wants the `ansible-test` of the virtual environment on the PATH.

Own code, since `ansible-test` wants the collection in a path of its own, and antsibull-nox runs it in containers only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from collection import PLACE
from workspace import ROOT, checkout_cache, digest, locked

# ansible-test bootstraps pip with a script it downloads; it is satisfied by one that is there.
# pip is inside Python, so nothing has to be downloaded.
BOOTSTRAP = """\
import subprocess, sys
unknown = ("--no-setuptools", "--no-wheel")
arguments = [argument for argument in sys.argv[1:] if argument not in unknown]
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=True)
"""


def tracked() -> list[Path]:
    """Return the relative paths of the existing files that Git tracks or would add."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
    ).stdout.decode()
    return [Path(name) for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).is_file()]


def fingerprint(files: list[Path], arguments: list[str]) -> str:
    """Return a digest of the content, the tools and the arguments."""
    tools = [sys.version, os.fspath(shutil.which("ansible-test") or ""), Path(__file__).read_text(encoding="utf-8")]
    parts = [text.encode() for text in [*tools, *arguments]]
    for name in files:
        parts += [
            os.fspath(name).encode(),
            b"x" if os.access(ROOT / name, os.X_OK) else b"-",
            (ROOT / name).read_bytes(),
        ]
    return digest(parts)


def mirror(files: list[Path], copy: Path) -> None:
    """Make `copy` hold exactly these files."""
    if copy.exists():
        shutil.rmtree(copy)
    for name in files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)


def pip_bootstrap(python: str) -> str:
    """Return the name of the file in which ansible-test looks for its pip bootstrap for this Python."""
    from ansible_test._internal.python_requirements import get_venv_packages  # noqa: PLC0415 - only where it is needed

    return f"get_pip_{get_venv_packages(SimpleNamespace(version=python))['pip'].replace('.', '_')}.py"


def main() -> int:
    """Copy, run, remember a pass; return ansible-test's exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--again"]
    work = checkout_cache() / "sanity"
    with locked(work):
        files = tracked()
        passed = work / "passed"
        stamp = fingerprint(files, arguments)
        if "--again" not in sys.argv and passed.exists() and passed.read_text(encoding="utf-8") == stamp:
            print("ansible-test sanity: this very tree passed before (--again runs it anew)")
            return 0
        mirror(files, work / PLACE)
        code = run(work, arguments)
        if code == 0:
            passed.write_text(stamp, encoding="utf-8")
    return code


def run(work: Path, arguments: list[str]) -> int:
    """Run ansible-test in the copy with a home of its own."""
    home = work / "home"
    bootstraps = home / ".ansible/test/cache"
    bootstraps.mkdir(parents=True, exist_ok=True)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    (bootstraps / pip_bootstrap(python)).write_text(BOOTSTRAP, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHONPY"))}
    return subprocess.run(
        ["ansible-test", "sanity", "--requirements", "--python", python, "--color", "no", *arguments],
        cwd=work / PLACE,
        env={**environment, "HOME": str(home)},
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
