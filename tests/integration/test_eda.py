# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event-Driven Ansible: ansible-rulebook watches a real cluster and captures if there is trouble."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lablib import packages
from relay import relay_to
from world import World, installed, ledger

from patience import patience

RULEBOOK = "cloudpods.diagnostics.capture_on_trouble"
CLOUD = "onecloud-eda"
TROUBLE = "queue-full"
WATCHES = "Waiting for events"
# Text that ansible-rulebook prints for each event that it receives, and for one that a rule prints.
RECEIVED, PRINTED = "[received event]", "[event]"


class Rulebook:
    """Run of ansible-rulebook in a session of its own, with its output."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self.process = process
        self.output = output
        self._shown: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._changed:
                self._shown.append(line)
                self._changed.notify_all()
        # The output ends shortly before the process does.
        self.process.wait()
        with self._changed:
            self._changed.notify_all()

    @property
    def shown(self) -> str:
        return "".join(self._shown)

    def until(self, condition: Callable[[str], object]) -> None:
        """Wait until the condition holds for the output."""
        with self._changed:
            held = self._changed.wait_for(lambda: condition(self.shown), patience(180))
        assert held, self.shown

    def end(self) -> int:
        """End the run and all processes of its session; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(patience())
        self._reader.join(patience())
        assert of_session(self.process.pid) == []
        return code


def asks(shown: str) -> int:
    """Return the number of received events that request a capture."""
    events = [text.partition("\n**")[0] for text in shown.split(RECEIVED)[1:]]
    return sum(bool(re.search(r"'verdict': '(stuck|dropping)'", event)) for event in events)


def of_session(leader: int) -> list[int]:
    """Return the processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
    return found


@pytest.fixture(scope="module", autouse=True)
def java() -> None:
    packages.ensure(packages.JAVA)


@contextlib.contextmanager
def rulebook(folder: Path, name: str = RULEBOOK, kubeconfig: str = "", **variables: object) -> Iterator[Rulebook]:
    """Run a rulebook of the installed collection, and end it at the end of the block."""
    output = folder / "bundles"
    (folder / "variables.yml").write_text(
        json.dumps({"cloudpods_namespace": CLOUD, "cloudpods_output": str(output), **variables})
    )
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (folder / "inventory.yml").write_text(json.dumps({"all": {"hosts": {"localhost": local}}}))
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(installed()),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
        "K8S_AUTH_KUBECONFIG": kubeconfig,
        "PYTHONUNBUFFERED": "1",
    }
    command = ["ansible-rulebook", "-r", name, "-i", "inventory.yml", "-e", "variables.yml"]
    command += ["--verbose", "--print-events"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    run = Rulebook(process, output)
    try:
        yield run
    finally:
        run.end()
        process.stdout.close()


@pytest.fixture
def place(world: World) -> Iterator[World]:
    """Yield a namespace that is empty at first."""
    yield world
    world.deploy("health", "--trouble", TROUBLE, "--namespace", CLOUD, "--delete")


def test_captures_stacks_while_the_trouble_lasts(place: World, tmp_path: Path):
    """Start without services; services in trouble then appear, and their stacks are captured once."""
    kubeconfig = tmp_path / "kubeconfig"
    with relay_to(place.kubeconfig, kubeconfig) as relay, rulebook(tmp_path, kubeconfig=str(kubeconfig)) as run:
        run.until(lambda shown: WATCHES in shown)
        assert "PLAY [" not in run.shown
        place.deploy("health", "--trouble", TROUBLE, "--namespace", CLOUD)
        run.until(lambda shown: "PLAY RECAP" in shown)
        # More than one event requests a capture, and one of them gets it.
        run.until(lambda shown: asks(shown) > 1)
        # Actions are run one after the other, in the order of the events. This event comes last, so when it is printed,
        # no capture is pending.
        relay.cut()
        run.until(lambda shown: "'kind': 'gap'" in shown.partition(PRINTED)[2])
    assert run.shown.count("PLAY [") == 1
    assert "failed=0" in run.shown
    (archive,) = run.output.glob("*.tar.gz")
    rows = ledger(next(run.output.glob("*/ledger.jsonl")).parent)
    stacks = [row for row in rows if row["capture"] == "stack"]
    assert {row["component"] for row in stacks} == {"region", "keystone"}
    assert {row["status"] for row in stacks} == {"complete"}
    assert archive.stat().st_size


def test_ends_if_the_cluster_cannot_be_read(world: World, tmp_path: Path):
    config = json.loads(Path(world.kubeconfig).read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    broken = tmp_path / "kubeconfig"
    broken.write_text(json.dumps(config))
    with rulebook(tmp_path, kubeconfig=str(broken)) as run:
        run.until(lambda shown: "'kind': 'gap'" in shown.partition(PRINTED)[2])
    assert "unreachable" in run.shown
    assert "PLAY [" not in run.shown


def test_wrong_options_end_the_rulebook(world: World, tmp_path: Path):
    with rulebook(tmp_path, kubeconfig=world.kubeconfig, cloudpods_scenario="slow_sytem") as run:
        run.until(lambda _shown: run.process.poll() is not None)
        assert run.end() != 0
    assert "slow_sytem" in run.shown
