# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Output of each playbook for people and for programs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from standins import Machine

import collection

# Each test runs ansible-playbook.
pytestmark = pytest.mark.slow
PLAYBOOKS = ("audit_health", "capture_profiles", "capture_stacks", "watch_logs")
MOST_HEADINGS = 8
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
WRONG = {"cloudpods_kubeconfig": "/nonexistent/config", "cloudpods_components": ["region"]}
WRONG_ERROR = "There is no kubeconfig /nonexistent/config "
# Nothing listens on the port of the service discard.
REFUSED = {"cloudpods_host": "https://127.0.0.1:9", "cloudpods_api_key": "none", "cloudpods_components": ["region"]}
REFUSED_ERROR = "API server https://127.0.0.1:9: the connection was refused. Next: "
# Lines of Ansible about its own work, of no use to people.
NOISE = re.compile(r"^(skipping|included|\.\.\.ignoring)|\"msg\": \[|^ +\"", re.MULTILINE)
# A row of a table about a component: its name, and the number of its instances.
ROW = re.compile(r"^([a-z-]+) +\d+ ", re.MULTILINE)


@dataclass
class Shown:
    """Result of one run. out, errors: standard output and standard error."""

    code: int
    out: str
    errors: str
    folder: Path

    @property
    def headings(self) -> list[str]:
        return re.findall(r"^TASK \[(.*)\] \*+$", self.out, re.MULTILINE)

    @property
    def result(self) -> list[str]:
        """Return the lines between the heading of the last task and the recap."""
        text = self.out.partition("\nPLAY RECAP")[0].rpartition("TASK [")[2]
        return text.strip().splitlines()[1:]

    @property
    def archive(self) -> Path:
        return self.folder / "out" / "run.tar.gz"

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """Return the results of the first host in the JSON callback."""
        (play,) = json.loads(self.out)["plays"]
        return [next(iter(task["hosts"].values())) for task in play["tasks"]]


def play(playbook: str, folder: Path, variables: dict[str, Any], *arguments: str, **environment: str) -> Shown:
    env = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(collection.link()),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        **environment,
    }
    variables = {"cloudpods_output": "out", "cloudpods_run_id": "run", "cloudpods_watch_duration": 1, **variables}
    command = ["ansible-playbook", f"cloudpods.diagnostics.{playbook}", "-e", json.dumps(variables), *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return Shown(done.returncode, done.stdout, done.stderr, folder)


def inventory(folder: Path, **hosts: dict[str, Any]) -> tuple[str, str]:
    path = folder / "inventory.yml"
    path.write_text(json.dumps({"cloudpods": {"hosts": hosts}}))
    return "-i", str(path)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Start two services that dump and one that is refused, so that the refused one is last by name."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    try:
        for component in ("host", "region", "scheduler"):
            machine.start(component)
        yield machine
    finally:
        machine.stop()


@pytest.fixture(scope="module")
def here(machine):
    """Return variables of a run on the services of this machine that passes whatever it finds."""
    return {
        "cloudpods_transport": "host",
        "cloudpods_binary_dir": machine.binaries,
        "cloudpods_components": ["host", "region", "scheduler"],
        "cloudpods_samples": 1,
        "cloudpods_fail_on": "none",
        "cloudpods_fail_on_severity": "none",
        "cloudpods_fail_on_verdict": "none",
    }


@pytest.mark.parametrize("mode", ["--diff", "--check"])
@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_run_shows_one_table_on_one_screen(tmp_path, here, playbook, mode):
    shown = play(playbook, tmp_path, here, mode)
    assert shown.code == 0, shown.out + shown.errors
    assert 0 < len(shown.headings) <= MOST_HEADINGS
    assert not NOISE.findall(shown.out)
    *table, last = shown.result
    assert last.startswith("ok: [localhost]")
    assert any("region" in line for line in table)
    if mode == "--diff":
        assert table[-2:] == ["", f"bundle: {shown.archive}"]
        assert shown.archive.is_file()
    else:
        assert "bundle:" not in shown.out
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("on_critical", ["nothing", "capture_stacks"])
def test_audit_with_capture_shows_no_more_headings(tmp_path, here, on_critical):
    shown = play("audit_health", tmp_path, {**here, "cloudpods_on_critical": on_critical})
    assert shown.code == 0, shown.out + shown.errors
    assert len(shown.headings) <= MOST_HEADINGS
    with tarfile.open(shown.archive) as bundle:
        names = bundle.getnames()
    assert "run/health.json" in names
    assert not [name for name in names if "findings" in name or "/parts" in name]


def test_lists_worst_component_first(tmp_path, here):
    shown = play("capture_stacks", tmp_path, here)
    assert ROW.findall("\n".join(shown.result)) == ["scheduler", "host", "region"]


def test_shows_plan_of_profiles_before_the_run(tmp_path, here):
    shown = play("capture_profiles", tmp_path, here)
    begin, end = shown.out.index("Take the profiles"), shown.out.index("Read the profiles")
    assert re.search(r"^region: 1 instance: ", shown.out[begin:end], re.MULTILINE), shown.out
    quiet = play("capture_profiles", tmp_path, {**here, "cloudpods_show_plan": False, "cloudpods_run_id": "quiet"})
    assert "1 instance: " not in quiet.out


@pytest.mark.parametrize("playbook", PLAYBOOKS)
@pytest.mark.parametrize("mode", ["--diff", "--check"])
def test_shows_an_error_once_on_one_screen(tmp_path, playbook, mode):
    shown = play(playbook, tmp_path, WRONG, mode)
    assert shown.code == 2, shown.out + shown.errors
    assert shown.out.count(WRONG_ERROR) == 1
    assert len(shown.headings) <= MOST_HEADINGS
    assert len(shown.out.splitlines()) < 40
    assert not NOISE.findall(shown.out)
    (fatal,) = [line for line in shown.result if line.startswith("fatal: ")]
    words = {"--check": "Nothing would be captured", "--diff": "Nothing was captured"}[mode]
    said = json.loads(fatal.partition(" => ")[2])
    assert said["msg"] == f"{words}: see the error above."
    assert set(said) - {"failed"} == {"changed", "msg", "run"}
    assert "[ERROR]" not in shown.out + shown.errors


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_unreachable_api_server_is_reported_once_without_bundle(tmp_path, playbook):
    shown = play(playbook, tmp_path, REFUSED)
    assert shown.code == 2, shown.out + shown.errors
    assert shown.out.count(REFUSED_ERROR) == 1
    assert not NOISE.findall(shown.out)
    assert len(shown.result) == 2, shown.result
    assert '"msg": "Nothing was captured: ' in shown.result[1]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_shows_error_as_text_if_the_play_must_not_fail(tmp_path, playbook):
    shown = play(playbook, tmp_path, {**WRONG, "cloudpods_fail_on": "none", "cloudpods_fail_on_verdict": "none"})
    assert shown.code == 0, shown.out + shown.errors
    assert shown.out.count(WRONG_ERROR) == 1


def test_fleet_shows_each_error_once_with_its_access_points(tmp_path):
    hosts = {f"cloud-{letter}": {**LOCAL, **WRONG} for letter in "abc"}
    hosts["cloud-d"] = {**LOCAL, **WRONG, "cloudpods_kubeconfig": "/elsewhere"}
    hosts["cloud-e"] = {"ansible_host": "127.0.0.1", "ansible_port": 9}
    where = inventory(tmp_path, **hosts)
    shown = play("capture_stacks", tmp_path, {"cloudpods_components": ["region"]}, *where)
    assert shown.code == 2, shown.out + shown.errors
    lines = [line for line in shown.result if line.startswith("cloud-")]
    assert [line.partition(": ")[0] for line in lines] == ["cloud-a, cloud-b, cloud-c", "cloud-d", "cloud-e"]
    assert [shown.out.count(words) for words in (WRONG_ERROR, "There is no kubeconfig /elsewhere ")] == [1, 1]
    assert "Connection refused" in lines[-1]
    assert "Nothing was captured: see the 3 errors above." in shown.out
    for_programs = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    told = play("capture_stacks", tmp_path, {"cloudpods_run_id": "again"}, *where, **for_programs)
    result = told.tasks[-1]
    assert result["failed"] is True
    assert all(error["error"] in result["msg"] for error in result["errors"])
    assert [len(error["access_points"]) for error in result["errors"]] == [3, 1, 1]


def test_unreachable_access_point_is_listed_first_and_stops_no_other(tmp_path, here):
    hosts = {"near": {**LOCAL, **here}, "far": {"ansible_host": "127.0.0.1", "ansible_port": 9}}
    shown = play("capture_stacks", tmp_path, {"cloudpods_fail_on": "failed"}, *inventory(tmp_path, **hosts))
    assert shown.code == 0, shown.out + shown.errors
    assert shown.result[0].startswith("far: ")
    assert ROW.findall("\n".join(shown.result)) == ["scheduler", "host", "region"]


def test_shows_several_watches_in_one_text_worst_first(tmp_path, here):
    # The component exists only at one of them.
    components = {"near": ["region"], "other": ["glance"]}
    hosts = {name: {**LOCAL, "cloudpods_components": names} for name, names in components.items()}
    everywhere = {name: value for name, value in here.items() if name != "cloudpods_components"}
    shown = play("watch_logs", tmp_path, everywhere, *inventory(tmp_path, **hosts))
    assert shown.code == 0, shown.out + shown.errors
    titles = [line for line in shown.result if re.match(r"(near|other): \w+$", line)]
    assert sorted(title.partition(":")[0] for title in titles) == ["near", "other"]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
@pytest.mark.parametrize("kind", ["run", "error"])
def test_json_callback_has_the_whole_result(tmp_path, here, playbook, kind):
    variables = {"run": here, "error": WRONG}[kind]
    environment = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_SHOW_CUSTOM_STATS": "1"}
    shown = play(playbook, tmp_path, variables, **environment)
    assert shown.code == {"run": 0, "error": 2}[kind], shown.out + shown.errors
    result = shown.tasks[-1]
    assert set(result) >= {"run", "msg", "table", "errors", "archive", "counts", "verdict"}
    if kind == "run":
        assert result["msg"] == ""
        assert result["archive"] == str(shown.archive)
        assert any("region" in line for line in result["table"])
        stats = json.loads(shown.out)["global_custom_stats"]
        assert stats["cloudpods_bundle"] == str(shown.archive)
        assert stats["cloudpods_counts"] == result["counts"]
        assert sum(result["counts"].values()) > 0
    else:
        assert WRONG_ERROR in result["msg"]
        assert result["errors"][0]["access_points"] == ["localhost"]


def test_verbose_output_has_the_whole_result(tmp_path):
    shown = play("capture_stacks", tmp_path, WRONG, "-v")
    (fatal,) = [line for line in shown.result if line.startswith("fatal: ")]
    said = json.loads(fatal.partition(" => ")[2])
    assert said["msg"].startswith(f"Nothing was captured: {WRONG_ERROR}")
    assert said["errors"][0]["access_points"] == ["localhost"]


def test_seals_two_captures_of_one_run(tmp_path, here):
    """Use the same role twice, then the bundle."""
    names = ("capture_stacks", "capture_stacks", "bundle")
    roles = [{"ansible.builtin.include_role": {"name": f"cloudpods.diagnostics.{name}"}} for name in names]
    for task, component in zip(roles, ("region", "host"), strict=False):
        task["vars"] = {"capture_stacks_components": [component]}
    book = tmp_path / "site.yml"
    book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": roles}]))
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collection.link())}
    variables = json.dumps({**here, "cloudpods_output": "out", "cloudpods_run_id": "run"})
    command = ["ansible-playbook", str(book), "-e", variables]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with tarfile.open(tmp_path / "out" / "run.tar.gz") as bundle:
        rows = bundle.extractfile("run/ledger.jsonl").read().decode().splitlines()
    assert {json.loads(row)["component"] for row in rows} == {"host", "region"}


def test_each_batch_leaves_a_bundle(tmp_path, here):
    """Use `serial`: a bundle has no captures of another batch."""
    hosts = {name: {**LOCAL, "capture_stacks_components": [name]} for name in ("region", "host")}
    roles = [{"role": f"cloudpods.diagnostics.{name}"} for name in ("capture_stacks", "bundle")]
    book = tmp_path / "site.yml"
    book.write_text(json.dumps([{"hosts": "cloudpods", "gather_facts": False, "serial": 1, "roles": roles}]))
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collection.link())}
    command = ["ansible-playbook", str(book), "-e", json.dumps({**here, "cloudpods_output": "out"})]
    command += inventory(tmp_path, **hosts)
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ledgers = [path.read_text().splitlines() for path in (tmp_path / "out").glob("*/ledger.jsonl")]
    assert sorted({json.loads(row)["component"] for row in rows}.pop() for rows in ledgers) == ["host", "region"]


def test_run_limited_to_no_host_leaves_nothing(tmp_path):
    where = inventory(tmp_path, near=dict(LOCAL))
    shown = play("capture_stacks", tmp_path, {}, *where, "--limit", "nowhere")
    assert shown.code != 0
    assert "leaves us with no hosts to target" in shown.out + shown.errors
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("playbook", "variable", "value"),
    [
        ("audit_health", "cloudpods_thresholds", {"no_such_threshold": 1}),
        ("audit_health", "cloudpods_baseline", "no-bundle.tar.gz"),
    ],
)
def test_failure_on_the_controller_keeps_captures_and_fails_the_run(tmp_path, here, playbook, variable, value):
    if isinstance(value, str):
        (tmp_path / value).write_text("It is there, and not what it should be.")
        value = str(tmp_path / value)
    shown = play(playbook, tmp_path, {**here, variable: value})
    assert shown.code == 2, shown.out + shown.errors
    (fatal,) = [line for line in shown.result if line.startswith("fatal: ")]
    word = value if isinstance(value, str) else next(iter(value))
    assert word in json.loads(fatal.partition(" => ")[2])["msg"]
    assert f"bundle: {shown.archive}" in shown.result
    with tarfile.open(shown.archive) as bundle:
        assert "run/ledger.jsonl" in bundle.getnames()


def test_empty_variable_counts_as_not_set(tmp_path, here):
    shown = play("capture_stacks", tmp_path, {**here, "cloudpods_kubeconfig": "", "cloudpods_context": ""})
    assert shown.code == 0, shown.out + shown.errors
