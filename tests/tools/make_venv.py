# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a virtual environment from the pinned requirement files and print its path.

    python3 tests/tools/make_venv.py dev|demo|audit|galaxy|uv|core-2.17|core-2.18|... [--path]

It lies in the cache under a digest of its inputs, so it is built once, and again when a requirement
file or the interpreter changes. `--path` only prints where it would be.
Runs on the bare system Python: standard library only.

Own code, since it starts where neither pip nor uv is there: Debian's Python comes without both. uv pins the versions
(`make constraints`) and installs them: it fetches many packages at once, pip one after the other. pip installs uv.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import debian
import debian_python
from cores import CORES
from workspace import ROOT, cache, digest, locked

REQUIREMENTS = {
    "audit": ["requirements/audit.txt"],
    "demo": ["requirements/demo.txt"],
    "dev": ["requirements/dev.txt"],
    "galaxy": ["requirements/galaxy.txt"],
    "uv": ["requirements/uv.txt"],
}
CONSTRAINTS = "requirements/constraints.txt"
NEED_GO = ("demo", "dev")
# The minor versions of Python 3 that each works with.
PYTHONS = {
    "audit": range(10, 100),
    "demo": range(10, 100),
    "dev": range(11, 14),
    "galaxy": range(11, 14),
    "uv": range(10, 100),
    **{kind: core.pythons for kind, core in CORES.items()},
}
READY = "ready"  # written last: a venv without it was interrupted
OLDEST_GO = (1, 24)  # what the go.mod files under tests/ ask for


class Unfit(Exception):
    """The machine lacks something; the message says what and how to get it."""


def usable_go(version_text: str) -> bool:
    """Return whether the output of `go version` names a release that can build this project."""
    found = re.search(r"\bgo(\d+)\.(\d+)", version_text)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_GO


def machine_has_go() -> bool:
    """Return whether the PATH holds a usable Go."""
    go = shutil.which("go")
    return go is not None and usable_go(
        subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    )


def requirement_files(kind: str) -> list[str]:
    """Return the files to install, in order."""
    needs_go = kind in NEED_GO and not machine_has_go()
    return REQUIREMENTS[kind] + (["requirements/go.txt"] if needs_go else [])


def interpreter(kind: str) -> Path:
    """Return the Python to build this kind with: the running one, or a newer Debian's. Unfit where there is none."""
    wanted = PYTHONS[kind]
    if sys.version_info.minor in wanted:
        return Path(sys.executable)
    if kind in CORES and debian_python.MINOR in wanted and debian_python.can_have():
        return debian_python.ensure()
    newest = "" if kind in ("audit", "demo", "uv") else f" to 3.{wanted.stop - 1}"
    raise Unfit(
        f"{kind} needs Python 3.{wanted.start}{newest or ' or later'}; {sys.executable} is {sys.version.split()[0]} "
        "(choose with PYTHON=...)"
    )


def location(kind: str) -> Path:
    """Return where the environment of this kind lies for this interpreter and these files."""
    if kind in CORES:
        parts = ["\n".join([*CORES[kind].requirements, *CORES[kind].constraints()]).encode()]
    else:
        read = [*requirement_files(kind), "requirements.txt", CONSTRAINTS]
        parts = [name.encode() + b"\0" + (ROOT / name).read_bytes() for name in read]
    if sys.version_info.minor in PYTHONS[kind]:
        parts += [sys.version.encode(), sys.base_prefix.encode()]
    else:
        parts.append(Path(debian_python.__file__).read_bytes())
    return cache() / f"venv-{kind}-{digest(parts)}"


def ensure(kind: str) -> Path:
    """Return the environment of this kind, building it when it is missing or broken. Unfit, CalledProcessError."""
    python = interpreter(kind)
    venv = location(kind)
    with locked(venv):
        if not (venv / READY).exists() or not works(venv):
            build(kind, venv, python)
    return venv


def works(venv: Path) -> bool:
    """Return whether its interpreter still starts; the one it links to may have been removed."""
    try:
        return subprocess.run([venv / "bin/python", "-c", ""], check=False).returncode == 0
    except OSError:
        return False


def build(kind: str, venv: Path, python: Path) -> None:
    """Build it in its final place (scripts hold absolute paths), marking it ready last."""
    print(f"building the virtual environment {venv}", file=sys.stderr)
    shutil.rmtree(venv, ignore_errors=True)
    make: list[str | Path] = [python, "-m", "venv", venv]
    if python == Path(sys.executable):
        install_venv_package()
    else:
        make.append("--without-pip")
    subprocess.run(make, check=True, stdout=sys.stderr)
    install: list[str | Path] = [venv / "bin/python", "-m", "pip", "install", "--disable-pip-version-check"]
    if kind != "uv":
        install = [ensure("uv") / "bin/uv", "pip", "install", "--python", venv / "bin/python"]
    install += ["--quiet", *wanted_packages(kind, venv)]
    subprocess.run(install, check=True, stdout=sys.stderr, env={**os.environ, **uv_settings()})
    (venv / READY).touch()


def uv_settings() -> dict[str, str]:
    """Return variables for uv: the cache, and the certificates and index that pip uses."""
    index = os.environ.get("PIP_INDEX_URL")
    return {
        "UV_CACHE_DIR": str(cache() / "uv"),
        "UV_SYSTEM_CERTS": "1",
        **({"UV_DEFAULT_INDEX": index} if index else {}),
    }


def wanted_packages(kind: str, venv: Path) -> list[str | Path]:
    """Return the arguments of pip or uv that say what to install. venv: where a file that they name may be written."""
    if kind not in CORES:
        files = [argument for name in requirement_files(kind) for argument in ("-r", ROOT / name)]
        return ["-c", ROOT / CONSTRAINTS, *files]
    constraints = venv / "constraints.txt"
    constraints.write_text("\n".join(CORES[kind].constraints()), encoding="utf-8")
    return ["-c", constraints, *CORES[kind].requirements]


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
    parser.add_argument("kind", choices=sorted(PYTHONS))
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
