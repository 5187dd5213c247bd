# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Go's own tools, and real profiles: of a stand-in service, and of the program in generator/.

Tools and profiles are made once for each version of Go and of their sources, and kept in the cache. All xdist workers
share them.
"""

from __future__ import annotations

import functools
import gzip
import os
import re
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

from standins import Machine, build

from patience import wait_until
from workspace import cache, digest, locked

HERE = Path(__file__).parent
GENERATOR = HERE / "generator"
# Required in its CPU profile. On a busy machine some functions and labels may have no sample.
SAMPLED = (b"main.fall", b"sync;cloud", b"task-0", b"task-1", b"task-2")

LISTENS = re.compile(rb"Start listen on https?://[^:]+:(\d+)")
# The user agent of the services; they refuse others.
AGENT = {"User-Agent": "yunioncloud-go/201708"}
# The function that burns the processor when TROUBLE says spin.
PLANTED = b"troubles.hashBlocks"
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
    """Return what a command prints. If it fails, raise an AssertionError with its standard error."""
    environment = {**os.environ, "GOCACHE": str(cache() / "go-build"), "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.cache
def version() -> str:
    return run("go", "version").strip()


def made_once(name: str, sources: list[bytes], make: Callable[[Path], None]) -> Path:
    """Return the folder in the cache that `make` has filled. It is made again when the sources or Go change."""
    folder = cache() / f"{name}-{digest([version().encode(), *sources])}"
    with locked(folder):
        if not folder.exists():
            # A crash leaves nothing under the final name.
            with tempfile.TemporaryDirectory(dir=cache()) as temporary:
                made = Path(temporary, "made")
                made.mkdir()
                make(made)
                made.rename(folder)
    return folder


@functools.cache
def tool(name: str) -> str:
    """Return the path of one of Go's tools, built once. `go tool` takes 30 times as long to start it."""

    def make(folder: Path) -> None:
        run("go", "build", "-o", str(folder / name), f"cmd/{name}")

    return str(made_once(f"go-{name}", [], make) / name)


def pprof(path: Path, *options: str) -> list[str]:
    """Return the output of `go tool pprof` for a profile, line by line, with Go's names."""
    return run(tool("pprof"), "-symbolize=none", *options, str(path)).splitlines()


def top(path: Path, sample_type: str, *options: str) -> list[str]:
    """Return its table of all functions, without the marks of inlined ones."""
    lines = pprof(path, "-top", "-nodefraction=0", "-nodecount=0", f"-sample_index={sample_type}", *options)
    (start,) = (number for number, line in enumerate(lines) if line.split()[:2] == ["flat", "flat%"])
    return [re.sub(r" \((?:partial-)?inline\)$", "", line) for line in lines[start:]]


def profiled() -> dict[str, Path]:
    """Return profiles of the program in generator/, by the name of the profile."""

    def make(folder: Path) -> None:
        generator = str(folder / "generator")
        run("go", "build", "-o", generator, ".", cwd=GENERATOR)

        def sampled() -> bool:
            run(generator, str(folder))
            content = gzip.decompress((folder / "cpu.pb.gz").read_bytes())
            return all(text in content for text in SAMPLED)

        wait_until(f"a CPU profile with {SAMPLED}", sampled)

    sources = [path.read_bytes() for path in (Path(__file__), *sorted(GENERATOR.iterdir()))]
    return _by_name(made_once("profiled", sources, make).glob("*.pb.gz"))


def served() -> dict[str, Path]:
    """Return what a stand-in service answers under /debug/pprof, by the name of the answer (see QUESTIONS)."""
    sources = [str(build()).encode(), Path(__file__).read_bytes()]
    return _by_name(made_once("served", sources, _take).iterdir())


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    return {path.name.partition(".")[0]: path for path in paths}


def _take(folder: Path) -> None:
    """Request every kind of profile from a stand-in region that computes, allocates, contends and serves."""
    with tempfile.TemporaryDirectory() as machine_folder:
        machine = Machine(Path(machine_folder))
        try:
            service = machine.start("region", TROUBLE, ("--port", "0", "--enable-app-profiling"))
            port = int(LISTENS.search(service.log.read_bytes())[1])
            for name, question in QUESTIONS.items():
                (folder / name).write_bytes(wait_until(name, lambda question=question: _answer(port, question)))
        finally:
            machine.stop()


def _answer(port: int, question: str) -> bytes | None:
    """Return the answer. Return None for a CPU profile without a sample of the planted function.

    On a busy machine the service may have had no processor time during the profile.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(f"https://127.0.0.1:{port}/debug/pprof/{question}", headers=AGENT)
    with urllib.request.urlopen(request, context=context) as answer:  # noqa: S310
        data: bytes = answer.read()
    return None if question.startswith("profile?") and PLANTED not in gzip.decompress(data) else data
