# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Get the Python of a newer Debian without installing it: its packages, unpacked into the cache.

The machine's own packages stay as they are: apt works on lists and folders of its own, without root. The interpreter
needs a newer C library than the machine has, so a script of its name starts it with the loader and the libraries that
were unpacked with it. Virtual environments link to that script.

Runs on the bare system Python: standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from workspace import cache, digest, locked

SUITE = "trixie"
MINOR = 13
NAME = f"python3.{MINOR}"
PACKAGES = (NAME, f"{NAME}-venv")
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
APT = """\
Dir "{work}";
Dir::State "{work}";
Dir::State::status "{work}/status";
Dir::Cache "{work}";
Dir::Etc "{work}";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Parts "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::Log "{work}";
Acquire::Languages "none";
APT::Install-Recommends "false";
APT::Sandbox::User "";
"""
SOURCES = f"deb [signed-by={KEYS}] http://deb.debian.org/debian {SUITE} main\n"
# The name in $0 is what Python takes for its own, and where it looks for its library or for a virtual environment.
SCRIPT = """\
#!/bin/sh
exec {loader} --library-path {libraries} --argv0 "$0" {program} "$@"
"""


def can_have() -> bool:
    """Return whether this machine has what it takes: Debian's apt, dpkg and keys."""
    return sys.platform == "linux" and all(map(shutil.which, ("apt-get", "dpkg-deb"))) and KEYS.exists()


def ensure() -> Path:
    """Return the interpreter, fetching it when it is missing. CalledProcessError, OSError."""
    parts = [Path(__file__).read_bytes(), SUITE.encode(), NAME.encode()]
    place = cache() / f"{NAME}-{SUITE}-{digest(parts)}"
    with locked(place):
        if not place.exists():
            print(f"unpacking {NAME} of Debian {SUITE} into {place}", file=sys.stderr)
            fresh = place.with_name(f"{place.name}.fresh")
            shutil.rmtree(fresh, ignore_errors=True)
            unpack(fresh)
            wrap(fresh, place)
            fresh.rename(place)
    return place / "usr/bin" / NAME


def unpack(root: Path) -> None:
    """Fetch the packages with all that they depend on, and unpack them here."""
    work = root / "apt"
    for folder in ("lists/partial", "archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(SOURCES, encoding="utf-8")
    (work / "apt.conf").write_text(APT.format(work=work), encoding="utf-8")
    environment = {**os.environ, "APT_CONFIG": str(work / "apt.conf")}
    for command in (["update"], ["install", "--yes", "--download-only", *PACKAGES]):
        subprocess.run(["apt-get", "-q", *command], check=True, stdout=sys.stderr, env=environment)
    for package in sorted((work / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", package, root], check=True, stdout=sys.stderr)
    shutil.rmtree(work)


def wrap(fresh: Path, place: Path) -> None:
    """Put the script in the interpreter's place. place: where the folder will lie."""
    (loader,) = (fresh / "usr").glob("lib/*/ld-linux-*.so.*")
    script = fresh / "usr/bin" / NAME
    program = script.rename(script.with_name(f"{NAME}.elf"))
    loader, program = (place / path.relative_to(fresh) for path in (loader, program))
    script.write_text(SCRIPT.format(loader=loader, libraries=loader.parent, program=program), encoding="utf-8")
    script.chmod(0o755)
