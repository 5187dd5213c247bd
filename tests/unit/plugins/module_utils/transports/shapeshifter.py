# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that catches SIGUSR1 when it is probed, but not when it is signalled."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.procfs import ProcFs

from patience import wait_until

USR1 = 1 << 9
SCRIPT = "trap : USR1; echo ready; read x; {then}; read x"


class Shapeshifter:
    """A shell under the name of a service. shift: let it perform its change and keep running."""

    def __init__(self, binaries: str, then: str) -> None:
        program = Path(binaries) / "region"
        program.parent.mkdir(exist_ok=True)
        shutil.copy(str(shutil.which("bash")), program)
        command = [str(program), "-c", SCRIPT.format(then=then.format(program))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def shift(self) -> None:
        assert self._process.stdin
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        wait_until("another handler", lambda: not ProcFs().process(self.pid).caught & USR1)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def shapeshifter(binaries: str, then: str) -> Iterator[Shapeshifter]:
    """Start it. then: the script that shift() runs; {} is its own file."""
    made = Shapeshifter(binaries, then)
    try:
        yield made
    finally:
        made.end()
