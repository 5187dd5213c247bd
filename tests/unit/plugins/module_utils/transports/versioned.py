# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sleeping Go program with a version set by the linker, as cloudpods' Makefile does."""

from __future__ import annotations

from pathlib import Path

import golang

PACKAGE = "yunion.io/x/pkg/util/version"
VALUES = {
    "gitVersion": "v3.11.8-20250101.1",
    "gitCommit": "7c7ef8bb1d",
    "gitBranch": "release/3.11",
    "gitTreeState": "clean",
    "buildDate": "2025-01-01T07:11:09Z",
    "major": "0",
    "minor": "0",
}
SOURCE = b"""package main

import "time"

func main() { time.Sleep(time.Hour) }
"""
MODULE = b"module versioned\n\ngo 1.21\n"
_LINKER_NAMES = {"major": "gitMajor", "minor": "gitMinor"}


def versioned() -> Path:
    """Return the program, built once."""
    settings = [f"-X {PACKAGE}.{_LINKER_NAMES.get(name, name)}={value}" for name, value in VALUES.items()]
    flags = " ".join(["-w", *settings])

    def make(folder: Path) -> None:
        (folder / "main.go").write_bytes(SOURCE)
        (folder / "go.mod").write_bytes(MODULE)
        golang.run("go", "build", "-ldflags", flags, "-o", str(folder / "versioned"), ".", cwd=folder)

    return golang.made_once("versioned", [SOURCE, MODULE, flags.encode()], make) / "versioned"
