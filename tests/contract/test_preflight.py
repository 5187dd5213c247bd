# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact output of each playbook for mistakes in variables and missing libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleAction, AnsibleConnectionFailure
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.cloudpods.diagnostics.plugins.action import preflight
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import libraries
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import ModuleAction
from mistakes import AUDIT, PLAYBOOKS, PROFILES, STACKS, of

import collection

EACH = [(playbook, name) for playbook in PLAYBOOKS for name in of(playbook)]
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
NOT_MISSING = {"missing": [], "python": "/usr/bin/python3", "managed": False}


def written(value):
    """Return a value as if read from an inventory: since release 2.19, no other text is a template."""
    try:
        from ansible.template import trust_as_template  # noqa: PLC0415
    except ImportError:
        return value
    return trust_as_template(value) if isinstance(value, str) else value


class Action(preflight.ActionModule):
    """Return the action on a host of an inventory, with a given answer of the module."""

    def __init__(self, playbook, host, hosts, of_play):
        loader = DataLoader()
        inventory = InventoryManager(loader=loader, sources=["nobody,"])
        for name, values in hosts.items():
            inventory.add_host(name)
            for key, value in values.items():
                inventory._inventory.set_variable(name, key, written(value))
        manager = VariableManager(loader=loader, inventory=inventory)
        self.variables = manager.get_vars(host=inventory.get_host(host))
        self.variables.update({key: written(value) for key, value in of_play.items()})
        self.variables.update(hostvars=HostVars(inventory, manager, loader))
        self.variables.update(inventory_hostname=host, ansible_play_batch=list(hosts))
        self._task = SimpleNamespace(action="cloudpods.diagnostics.preflight", args={"role": playbook})
        self._templar = Templar(loader=loader, variables=self.variables)
        self._discovered_interpreter_key = None


@pytest.fixture
def told(monkeypatch):
    """Return the sentences that the action fails with. asked: the libraries that the module checks."""
    monkeypatch.setattr(preflight.libraries, "missing_libraries", lambda _names: [])
    monkeypatch.setattr(preflight, "_has_collection", lambda: True)

    def run(playbook, hosts, host="", answer=None, asked=None, **of_play):
        def module(action, _tmp, _task_vars):
            if asked is not None:
                asked.append((host, action._task.args["libraries"]))
            if isinstance(answer, Exception):
                raise answer
            return NOT_MISSING if answer is None else answer

        monkeypatch.setattr(ModuleAction, "run", module)
        action = Action(playbook, host or next(iter(hosts)), hosts, of_play)
        try:
            result = action.run(None, action.variables)
        except AnsibleAction as failed:
            result = failed.result
        assert bool(result["msg"]) == result.get("failed", False)
        return result["msg"]

    return run


@pytest.mark.parametrize(("playbook", "name"), EACH)
def test_reports_each_mistake_in_one_sentence(told, playbook, name):
    variables, text = of(playbook)[name]
    assert told(playbook, {"localhost": variables}) == [text]


@pytest.mark.parametrize(("playbook", "name"), EACH)
def test_same_sentence_for_variables_of_the_play(told, playbook, name):
    variables, text = of(playbook)[name]
    assert told(playbook, {"localhost": {}}, **variables) == [text]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_reports_mistake_of_all_hosts_once(told, playbook):
    hosts = {f"cloud-{number}": {"cloudpods_timeout": "abc", "cloudpods_timout": 3} for number in range(100)}
    assert told(playbook, hosts) == [
        "There is no variable cloudpods_timout; did you mean cloudpods_timeout?",
        "cloudpods_timeout is 'abc'. It has to be a number of seconds from 0.1 to 86400.",
    ]
    assert told(playbook, hosts, host="cloud-1") == []


def test_mistake_of_some_hosts_names_them(told):
    hosts = {f"cloud-{number}": {} for number in range(9)}
    for number in (2, 4, 5, 6, 8):
        hosts[f"cloud-{number}"]["cloudpods_cluster"] = ["x"]
    hosts["cloud-7"]["cloudpods_cluter"] = "x"
    assert told(STACKS, hosts) == [
        "cloudpods_cluster of cloud-2, cloud-4, cloud-5 and 2 more is a list. It has to be text.",
        "There is no variable cloudpods_cluter of cloud-7; did you mean cloudpods_cluster?",
    ]


def test_reports_failing_template_of_another_host(told):
    (text,) = told(STACKS, {"a": {}, "b": {"cloudpods_cluster": "{{ of_nobody }}"}})
    assert text.startswith("cloudpods_cluster of b cannot be evaluated: ")
    assert "undefined" in text


def test_counts_mistakes_that_do_not_fit_on_a_screen(told):
    names = {f"cloudpods_zzzz{number:02}": 1 for number in range(30)}
    found = told(STACKS, {"localhost": names})
    assert len(found) == 13
    assert found[-1] == "There are 18 more mistakes."


@pytest.mark.parametrize("playbook", PLAYBOOKS)
@pytest.mark.parametrize("empty", ["", None])
def test_empty_variable_counts_as_not_set(told, playbook, empty):
    names = [*preflight.VARIABLES, *preflight.options_of(playbook)]
    assert told(playbook, {"localhost": dict.fromkeys(names, empty)}) == []


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_accepts_values_in_every_form_of_ansible(told, playbook, tmp_path):
    (tmp_path / "rules").mkdir()
    right = {
        "cloudpods_timeout": "2.5",
        "cloudpods_concurrency": "10",
        "cloudpods_dump_count": 3.0,
        "cloudpods_components": "region, keystone",
        "cloudpods_namespace": ["onecloud"],
        "cloudpods_binary_dir": "/opt/yunion/bin,/usr/bin",
        "cloudpods_certificates": "no",
        "cloudpods_profile_gc": 1,
        "cloudpods_log_seconds": 0,
        "cloudpods_thresholds": '{"a": 1}',
        "cloudpods_urls": "region=https://a:1",
        "cloudpods_on_hit": ["status"],
        "cloudpods_rules": f"{tmp_path}/rules",
        "cloudpods_kubeconfig": {"apiVersion": "v1"},
        "cloudpods_cluster": "{{ inventory_hostname }}",
    }
    assert told(playbook, {"localhost": right}) == []


def test_accepts_known_variable_of_another_playbook(told):
    assert told(STACKS, {"localhost": {"cloudpods_samples": "two", "cloudpods_baseline": "/nonexistent"}}) == []


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_accepts_statistics_of_an_earlier_run(told, playbook):
    """Pass statistics as extra variables, as AWX does for the next job of a workflow."""
    statistics = {"cloudpods_bundle": "/a/run.tar.gz", "cloudpods_counts": {"complete": 1}, "cloudpods_verdict": "ok"}
    assert told(playbook, {"localhost": statistics}) == []


def test_shows_no_value_of_a_secret(told):
    secrets = {"cloudpods_api_key": ["hush"], "cloudpods_kubeconfig": ["hush"], "cloudpods_apikey": "hush"}
    assert told(STACKS, {"localhost": secrets}) == [
        "There is no variable cloudpods_apikey; did you mean cloudpods_api_key?",
        "cloudpods_kubeconfig is a list. It has to be the path of a kubeconfig, or a dictionary with its content.",
        "cloudpods_api_key is a list. It has to be text.",
    ]


# Libraries


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, ["kubernetes"]),
        ({"cloudpods_transport": "keystone"}, ["keystoneauth1"]),
        ({"audit_health_transport": "keystone"}, ["keystoneauth1"]),
        ({"cloudpods_transport": "host"}, None),
    ],
)
def test_checks_libraries_of_the_transport(told, variables, wanted):
    asked = []
    assert told(AUDIT, {"cloud-a": variables}, asked=asked) == []
    assert [names for _host, names in asked] == ([wanted] if wanted else [])


def test_reports_missing_libraries_with_the_command(told):
    answer = {"missing": ["kubernetes", "jmespath"], "python": "/opt/py thon", "managed": True}
    (text,) = told(AUDIT, {"localhost": LOCAL}, answer=answer)
    assert text == (
        "The Python /opt/py thon on the controller lacks kubernetes (to reach an API server) and jmespath (to evaluate "
        "health rules). Next: '/opt/py thon' -m pip install 'kubernetes>=24.2.0' 'jmespath>=1.0.0' (it is the system's "
        "Python: add --break-system-packages, or set ansible_python_interpreter to the Python of a virtual environment)"
    )


def test_reports_missing_libraries_of_both_machines_at_once(told, monkeypatch):
    monkeypatch.setattr(preflight.libraries, "missing_libraries", list)
    monkeypatch.setattr(preflight, "_has_collection", lambda: False)
    answer = {"missing": ["kubernetes"], "python": "/usr/bin/python3", "managed": False}
    python = libraries.this_interpreter()
    found = told(PROFILES, {"cloud-a": {"cloudpods_timeout": "abc"}, "cloud-b": {}}, answer=answer)
    assert [text.partition(" Next: ")[0] for text in found] == [
        "cloudpods_timeout of cloud-a is 'abc'. It has to be a number of seconds from 0.1 to 86400.",
        "The collection kubernetes.core is missing on the controller, and the transport kubernetes needs it.",
        f"The Python {python.path} on the controller lacks protobuf (to read profiles).",
        "The Python /usr/bin/python3 on cloud-a lacks kubernetes (to reach an API server).",
    ]
    assert found[1].endswith(" Next: ansible-galaxy collection install kubernetes.core")


@pytest.mark.parametrize(
    "answer",
    [
        AnsibleConnectionFailure("no route"),
        {"unreachable": True, "msg": "no route"},
        {"failed": True, "msg": "no sudo"},
    ],
    ids=["raises", "unreachable", "failed"],
)
def test_host_without_answer_does_not_end_the_run(told, answer):
    assert told(STACKS, {"cloud-a": {}, "cloud-b": {}}, answer=answer) == []


@pytest.mark.parametrize("missing", [["kubernetes", "os; rm"], [5], "kubernetes", None])
def test_hostile_answer_adds_no_text(told, missing):
    answer = {"missing": missing, "python": "py\x1b[31m\nthon", "managed": "yes"}
    found = told(STACKS, {"cloud-a": {}}, answer=answer)
    assert len(found) == (missing == ["kubernetes", "os; rm"])
    for text in found:
        assert text.isprintable()
        assert "rm" not in text
        assert "system's" not in text


# With ansible-playbook


def play(folder, playbook, variables, *more, path=""):
    """Return the exit code and the lines of the output."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("K8S_AUTH_", "KUBECONFIG"))
    }
    environment |= {
        "ANSIBLE_COLLECTIONS_PATH": str(collection.link()),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        "COLUMNS": "80",
        "HOME": str(folder),
    }
    if path:
        environment["PYTHONPATH"] = path
    command = ["ansible-playbook", f"cloudpods.diagnostics.{playbook}", "-e", json.dumps(variables), *more]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, [line for line in (done.stdout + done.stderr).splitlines() if line]


def screen(name, texts, host="localhost"):
    """Return the only lines that a playbook may show for these mistakes."""
    return [
        f"PLAY [{name}] ".ljust(80, "*"),
        "TASK [cloudpods.diagnostics.preflight : Check the variables and libraries before any work] ***",
        f"fatal: [{host}]: FAILED! => {{",
        '    "changed": false,',
        '    "msg": [',
        *[f"        {json.dumps(text)}{'' if text == texts[-1] else ','}" for text in texts],
        "    ]",
        "}",
        "PLAY RECAP ".ljust(80, "*"),
        f"{host:26} : ok=0    changed=0    unreachable=0    failed=1    skipped=0    rescued=0    ignored=0   ",
    ]


NAMES = {
    "capture_stacks": "Capture the goroutine dumps of Cloudpods services",
    "watch_logs": "Watch the logs of Cloudpods services",
    "audit_health": "Audit the health of Cloudpods services",
    "capture_profiles": "Take profiles of Cloudpods services",
}


@pytest.mark.slow
@pytest.mark.parametrize("check", [[], ["--check", "--diff"]], ids=["run", "check"])
@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_playbook_shows_all_mistakes_on_one_screen_and_does_nothing(tmp_path, playbook, check):
    chosen = ("misspelt", "no number", "scenario", "template")
    variables = {"cloudpods_transport": "host"}
    for name in chosen:
        variables.update(of(playbook)[name][0])
    code, shown = play(tmp_path, playbook, variables, *check)
    order = ("misspelt", "scenario", "template", "no number")
    assert shown == screen(NAMES[playbook], [of(playbook)[name][1] for name in order])
    assert code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ansible"]


# Hides the libraries in the variable ABSENT, as if they were not installed.
BLOCKER = """
import importlib.abc, importlib.machinery, os, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NAMES or name in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

NAMES = os.environ.get("ABSENT", "").split()
sys.meta_path.insert(0, Absent())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("playbook", "lacking"),
    [
        (AUDIT, "kubernetes (to reach an API server) and jmespath (to evaluate health rules)"),
        (PROFILES, "kubernetes (to reach an API server) and protobuf (to read profiles)"),
    ],
)
def test_playbook_names_all_missing_libraries_with_the_command(tmp_path, monkeypatch, playbook, lacking):
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    monkeypatch.setenv("ABSENT", "kubernetes websocket jmespath google.protobuf")
    python = sys.executable
    code, shown = play(tmp_path, playbook, {}, path=str(tmp_path))
    requirements = " ".join(f"'{libraries.LIBRARIES[word].requirement}'" for word in lacking.split() if word in
                            libraries.LIBRARIES)  # fmt: skip
    text = f"The Python {python} on the controller lacks {lacking}. Next: {python} -m pip install {requirements}"
    assert shown == screen(NAMES[playbook], [text])
    assert code == 2


@pytest.mark.slow
def test_unreachable_access_point_does_not_end_the_checks_for_the_others(tmp_path):
    hosts = {
        "cloud-a": {**LOCAL, "cloudpods_transport": "host", "cloudpods_binary_dir": str(tmp_path)},
        "cloud-b": {"ansible_host": "127.0.0.1", "ansible_port": 1},
    }
    (tmp_path / "inventory.yml").write_text(json.dumps({"all": {"children": {"cloudpods": {"hosts": hosts}}}}))
    more = ("-i", "inventory.yml")
    code, shown = play(tmp_path, STACKS, {"cloudpods_fail_on": "none", "cloudpods_components": ["region"]}, *more)
    assert set(shown[2:4]) == {"ok: [cloud-a]", "ok: [cloud-b]"}, shown
    assert any("bundle: " in line for line in shown), shown
    assert code in (0, 4), shown  # Ansible itself counts an unreachable host.
    code, shown = play(tmp_path, STACKS, {"cloudpods_timeout": "abc"}, *more, "--limit", "cloud-b")
    assert shown == screen(NAMES[STACKS], [of(STACKS)["no number"][1]], host="cloud-b")
    assert code == 2
