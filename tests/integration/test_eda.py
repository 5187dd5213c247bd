# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event-Driven Ansible: the real ansible-rulebook watches the real cluster, and captures when there is trouble."""

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
# Texts that ansible-rulebook shows for each event that it receives, and for one that a rule prints.
RECEIVED, PRINTED = "[received event]", "[event]"


class Rulebook:
    """A run of ansible-rulebook in a session of its own, and what it shows."""

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
        # Its output ends a moment before the process does.
        self.process.wait()
        with self._changed:
            self._changed.notify_all()

    @property
    def shown(self) -> str:
        return "".join(self._shown)

    def until(self, condition: Callable[[str], object]) -> None:
        """Wait until that holds of what it shows."""
        with self._changed:
            held = self._changed.wait_for(lambda: condition(self.shown), patience(180))
        assert held, self.shown

    def end(self) -> int:
        """Tell it to end; its exit code. Nothing of its session lives on."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(patience())
        self._reader.join(patience())
        assert of_session(self.process.pid) == []
        return code


def asks(shown: str) -> int:
    """How many of the events that were received ask for a capture."""
    events = [text.partition("\n**")[0] for text in shown.split(RECEIVED)[1:]]
    return sum(bool(re.search(r"'verdict': '(stuck|dropping)'", event)) for event in events)


def of_session(leader: int) -> list[int]:
    """The processes of a session."""
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
    """A rulebook, of the collection as users have it; told to end in the end."""
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
    """A namespace without anything at first."""
    yield world
    world.deploy("health", "--trouble", TROUBLE, "--namespace", CLOUD, "--delete")


def test_trouble_is_captured_while_it_is_there(place: World, tmp_path: Path):
    """Nothing at first; then services with a trouble appear, and their stacks are captured, once."""
    kubeconfig = tmp_path / "kubeconfig"
    with relay_to(place.kubeconfig, kubeconfig) as relay, rulebook(tmp_path, kubeconfig=str(kubeconfig)) as run:
        run.until(lambda shown: WATCHES in shown)
        assert "PLAY [" not in run.shown
        place.deploy("health", "--trouble", TROUBLE, "--namespace", CLOUD)
        run.until(lambda shown: "PLAY RECAP" in shown)
        # More than one event asks for a capture, and one of them gets it.
        run.until(lambda shown: asks(shown) > 1)
        # The actions are done one after the other, in the order of the events: where this event, which comes after all
        # of those, is printed, no capture is left to do.
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


def test_a_cluster_that_cannot_be_seen_is_no_quiet_one(world: World, tmp_path: Path):
    config = json.loads(Path(world.kubeconfig).read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    broken = tmp_path / "kubeconfig"
    broken.write_text(json.dumps(config))
    with rulebook(tmp_path, kubeconfig=str(broken)) as run:
        run.until(lambda shown: "'kind': 'gap'" in shown.partition(PRINTED)[2])
    assert "unreachable" in run.shown
    assert "PLAY [" not in run.shown


def test_options_that_are_wrong_end_the_rulebook(world: World, tmp_path: Path):
    with rulebook(tmp_path, kubeconfig=world.kubeconfig, cloudpods_scenario="slow_sytem") as run:
        run.until(lambda _shown: run.process.poll() is not None)
        assert run.end() != 0
    assert "slow_sytem" in run.shown
