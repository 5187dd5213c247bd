# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Go's own tools, and the stand-in services that answer with real profiles."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import urllib.request
from pathlib import Path

from standins import Machine

from workspace import cache

LISTENS = re.compile(rb"Start listen on https?://[^:]+:(\d+)")
# What the services themselves call themselves by; others are refused.
AGENT = {"User-Agent": "yunioncloud-go/201708"}
TROUBLE = "spin=60 contend=4 heap_growth=4 http_rate=20 labels=4"
QUESTIONS = {
    "cpu.pb.gz": "profile?seconds=2",
    "cpu_later.pb.gz": "profile?seconds=1",
    "heap.pb.gz": "heap?gc=1",
    "allocs.pb.gz": "allocs",
    "goroutine.pb.gz": "goroutine",
    "goroutine_debug1.txt": "goroutine?debug=1",
    "goroutine_debug2.txt": "goroutine?debug=2",
    "threadcreate.pb.gz": "threadcreate",
    "block.pb.gz": "block",
    "mutex.pb.gz": "mutex",
    "trace.out": "trace?seconds=1",
    "cmdline.txt": "cmdline",
    "index.html": "",
    "symbol.txt": "symbol",
}


def run(*command: str, cwd: Path | None = None) -> str:
    """What a command of Go's prints; an error with its words when it fails."""
    environment = {**os.environ, "GOCACHE": str(cache() / "go-build"), "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
    done = subprocess.run(["go", *command], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pprof(path: Path, *options: str) -> list[str]:
    """What `go tool pprof` prints of a profile, line by line. Names are left as Go wrote them."""
    return run("tool", "pprof", "-symbolize=none", *options, str(path)).splitlines()


def top(path: Path, sample_type: str, *options: str) -> list[str]:
    """Its table of all functions, without the words that mark inlined ones."""
    lines = pprof(path, "-top", "-nodefraction=0", "-nodecount=0", f"-sample_index={sample_type}", *options)
    (start,) = (number for number, line in enumerate(lines) if line.split()[:2] == ["flat", "flat%"])
    return [re.sub(r" \((?:partial-)?inline\)$", "", line) for line in lines[start:]]


def take(machine_folder: Path, folder: Path) -> dict[str, Path]:
    """Ask a region that computes, allocates, contends and serves for everything there is."""
    machine = Machine(machine_folder)
    try:
        service = machine.start("region", TROUBLE, ("--port", "0", "--enable-app-profiling"))
        port = int(LISTENS.search(service.log.read_bytes())[1])
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        taken = {}
        for name, question in QUESTIONS.items():
            request = urllib.request.Request(f"https://127.0.0.1:{port}/debug/pprof/{question}", headers=AGENT)
            with urllib.request.urlopen(request, context=context) as answer:  # noqa: S310
                taken[name.partition(".")[0]] = folder / name
                (folder / name).write_bytes(answer.read())
        return taken
    finally:
        machine.stop()
