# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks by a hostile node that adds facts and other keys to the result of every module."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import collection

# Each test runs ansible-playbook.
pytestmark = pytest.mark.slow

# A connection whose name is not `local` makes this machine a remote one for the roles.
CONNECTION = """
import os
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = '''
name: elsewhere
short_description: This machine as if it were another one
description: This machine as if it were another one.
extends_documentation_fragment: [connection_pipelining]
'''


class Connection(Local):
    transport = "elsewhere"

    def exec_command(self, *arguments, **options):
        # What a machine says while the connection to it fails, where a test wants that.
        said = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "said")
        if os.path.exists(said):
            raise AnsibleConnectionFailure(open(said).read())
        return super().exec_command(*arguments, **options)
"""
# The interpreter of the node: it adds to the result of every module.
INTERPRETER = """#!{python}
import json, subprocess, sys
done = subprocess.run([{python!r}, *sys.argv[1:]], stdin=sys.stdin, capture_output=True, text=True)
sys.stderr.write(done.stderr)
try:
    result = json.loads(done.stdout)
except ValueError:
    sys.stdout.write(done.stdout)
else:
    with open({evil!r}) as file:
        result.update(json.load(file))
    json.dump(result, sys.stdout)
sys.exit(done.returncode)
"""
# The variables in which the roles register captures.
REGISTERED = (
    "audit_health_read",
    "audit_health_stacks",
    "capture_profiles_result",
    "capture_stacks_result",
    "watch_logs_result",
)
PLAYBOOKS = ("capture_stacks", "watch_logs", "audit_health", "capture_profiles")


@dataclass
class Site:
    """A controller with its own folder, and a node whose modules return whatever the node wants."""

    home: Path

    @property
    def secret(self) -> Path:
        """Return a folder of the controller that no run may touch."""
        return self.home / "secret"

    @property
    def bundle(self) -> Path:
        return self.home / "start" / "cloudpods-diagnostics" / "run.tar.gz"

    def play(self, playbook: str, *arguments: str, **evil: Any) -> subprocess.CompletedProcess[str]:
        """Run a playbook against the node, which adds `evil` to each of its results."""
        (self.home / "evil.json").write_text(json.dumps(evil))
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(collection.link()),
            "ANSIBLE_CONNECTION_PLUGINS": str(self.home / "connections"),
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_HOME": str(self.home / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "HOME": str(self.home),
        }
        variables = {
            "cloudpods_binary_dir": str(self.home / "empty"),
            "cloudpods_components": ["region"],
            "cloudpods_fail_on": "none",
            "cloudpods_run_id": "run",
            "cloudpods_transport": "host",
            "cloudpods_watch_duration": 0.2,
        }
        inventory = str(self.home / "inventory.yml")
        command = ["ansible-playbook", "-i", inventory, "-e", json.dumps(variables), *arguments, playbook]
        return subprocess.run(
            command, cwd=self.home / "start", env=environment, capture_output=True, text=True, check=False
        )

    def sealed(self) -> str:
        """Return the text of every file of the bundle."""
        with tarfile.open(self.bundle) as archive:
            files = [archive.extractfile(member) for member in archive if member.isfile()]
            return "\n".join(file.read().decode(errors="replace") for file in files if file)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    for name in ("start", "empty", "secret", "connections", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "secret" / "id_rsa").write_text("PRIVATE KEY\n")
    (tmp_path / "connections" / "elsewhere.py").write_text(CONNECTION)
    interpreter = tmp_path / "python"
    interpreter.write_text(INTERPRETER.format(python=sys.executable, evil=str(tmp_path / "evil.json")))
    interpreter.chmod(0o755)
    node = {"ansible_connection": "elsewhere", "ansible_python_interpreter": str(interpreter)}
    (tmp_path / "inventory.yml").write_text(json.dumps({"cloudpods": {"hosts": {"node": node}}}))
    return made


def facts_of(site: Site) -> dict[str, Any]:
    """Return facts that name folders of the controller under every variable for a folder of the run."""
    secret = str(site.secret)
    lists = ("bundle_parts", "bundle_more", "audit_health_rules", "cloudpods_rules")
    texts = ("bundle_id", "bundle_run_id", "bundle_output", "bundle_folder", "cloudpods_output")
    texts += ("cloudpods_run_id", "audit_health_baseline", "capture_profiles_profile_base")
    run = {"bundle_run": {"id": "evil", "folder": secret, "parts": secret}, "bundle_shown": {"run": "evil"}}
    entry = {"run": "run", "host": "node", "cluster": "node", "brought": [secret], "missed": []}
    captured = {name: {"captured": [entry]} for name in REGISTERED}
    return {**{name: [secret] for name in lists}, **dict.fromkeys(texts, secret), **run, **captured}


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_ignores_facts_in_results(site: Site, playbook: str) -> None:
    done = site.play(f"cloudpods.diagnostics.{playbook}", ansible_facts=facts_of(site))
    assert site.bundle.is_file(), done.stdout + done.stderr
    assert [path.name for path in site.secret.iterdir()] == ["id_rsa"]
    assert "PRIVATE KEY" not in site.sealed()
    assert sorted(path.name for path in site.home.iterdir() if path.suffix == ".gz") == []


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_ignores_captures_that_a_result_lists(site: Site, playbook: str) -> None:
    entry = {"run": "run", "host": "x", "cluster": "x", "brought": [str(site.secret)], "missed": []}
    done = site.play(f"cloudpods.diagnostics.{playbook}", captured=[entry], error="", brought=[str(site.secret)])
    assert site.bundle.is_file(), done.stdout + done.stderr
    assert "PRIVATE KEY" not in site.sealed()
    assert [path.name for path in site.secret.iterdir()] == ["id_rsa"]


@pytest.mark.parametrize("key", ["output", "archive"])
def test_ignores_folder_that_a_result_names(site: Site, key: str) -> None:
    done = site.play("cloudpods.diagnostics.capture_stacks", **{key: str(site.secret)})
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    taken = site.sealed() if site.bundle.exists() else str(list(site.bundle.parent.iterdir()))
    assert "PRIVATE KEY" not in taken
    # A folder is never fetched from another machine. An archive is, but this is none.
    assert site.bundle.exists() == (key == "output")


@pytest.mark.parametrize("playbook", PLAYBOOKS)
@pytest.mark.parametrize("mode", ["--check", "--diff"])
def test_executes_no_template_of_a_result(site: Site, playbook: str, mode: str) -> None:
    made = site.home / "made-by-a-template"
    text = "{{ lookup('ansible.builtin.pipe', 'touch " + str(made) + "') }}{% for x in [1] %}%{% endfor %}"
    would = [{"instance": text, "message": text, "reason": text}]
    done = site.play(
        f"cloudpods.diagnostics.{playbook}", mode, msg=text, warnings=[text], would=would, cluster=text, archive=text,
        output=text, plan=[text], counts={text: text}, clusters=[text],
    )  # fmt: skip
    assert not made.exists()
    assert mode == "--check" or "made-by-a-template" in done.stdout


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_executes_no_template_of_a_failing_connection(site: Site, playbook: str) -> None:
    made = site.home / "made-by-a-template"
    (site.home / "said").write_text("{{ lookup('ansible.builtin.pipe', 'touch " + str(made) + "') }}")
    done = site.play(f"cloudpods.diagnostics.{playbook}")
    assert "made-by-a-template" in done.stdout, done.stdout + done.stderr
    assert not made.exists()


@pytest.mark.parametrize("playbook", ["capture_stacks", "audit_health"])
def test_refuses_captures_of_another_cluster(site: Site, playbook: str) -> None:
    """Send an archive with a healthy document of an instance of another cluster."""
    forged = {"format": "cloudpods.diagnostics/status", "instance": {"cluster": "other", "component": "region"}}
    archive = site.home / "forged.tar.gz"
    with tarfile.open(archive, "w:gz") as made:
        for name in ("other/region/region-1/status.json", "hosts/region/region-1/status.json"):
            data = json.dumps(forged).encode()
            member = tarfile.TarInfo(f"part/{name}")
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    done = site.play(f"cloudpods.diagnostics.{playbook}", archive=str(archive))
    assert done.stdout.count("the part of hosts holds a file of another cluster") == 1, done.stdout + done.stderr
    # No other result has captures.
    assert list(site.bundle.parent.iterdir()) == []


def test_refuses_facts_of_an_earlier_play(site: Site) -> None:
    playbook = site.home / "site.yml"
    earlier = {"hosts": "cloudpods", "gather_facts": True, "gather_subset": ["!all", "!min"], "tasks": []}
    capture = {"ansible.builtin.import_playbook": "cloudpods.diagnostics.capture_stacks"}
    playbook.write_text(json.dumps([earlier, capture]))
    done = site.play(str(playbook), ansible_facts={"bundle_output": str(site.secret)})
    assert done.returncode != 0
    assert "bundle_output" in done.stdout
    assert [path.name for path in site.secret.iterdir()] == ["id_rsa"]


@pytest.mark.parametrize(("name", "mode"), [("../../evil", "--diff"), ("/etc/evil", "--check")])
def test_refuses_a_run_id_that_is_a_path(site: Site, name: str, mode: str) -> None:
    done = site.play("cloudpods.diagnostics.capture_stacks", "-e", f"cloudpods_run_id={name}", mode)
    assert done.returncode != 0
    assert "is not the name of a run" in done.stdout
    assert "capture_stacks : Capture the goroutine dumps" not in done.stdout
    assert not list(site.home.rglob("*evil*.tar.gz"))


def test_never_overwrites_a_sealed_bundle(site: Site) -> None:
    first = site.play("cloudpods.diagnostics.capture_stacks")
    sealed = site.bundle.read_bytes()
    for mode in ("--diff", "--check"):
        again = site.play("cloudpods.diagnostics.capture_stacks", mode)
        assert (first.returncode, again.returncode) == (0, 2)
        assert "capture_stacks : Capture the goroutine dumps" not in again.stdout
        assert "for example run-2" in again.stdout
    assert site.bundle.read_bytes() == sealed


FETCH = [
    {
        "hosts": "cloudpods",
        "gather_facts": False,
        "tasks": [
            {
                "cloudpods.diagnostics.bundle_fetch": {
                    "path": "{{ source }}",
                    "folder": "{{ folder }}",
                    "name": "../node 1",
                    "max_bytes": 2_000_000,
                },
                "register": "fetched",
            },
            {
                "ansible.builtin.debug": {
                    "msg": "keys: {{ fetched.keys() | sort | join(',') }}; evil: {{ evil | default('none') }}"
                }
            },
        ],
    }
]


@pytest.mark.parametrize("size", [1_999_999, 2_000_000, 9_000_000])
def test_fetches_no_more_than_is_allowed(site: Site, size: int) -> None:
    source, parts = site.home / "captures.tar.gz", site.home / "parts"
    source.write_bytes(b"x" * size)
    parts.mkdir()
    (site.home / "fetch.yml").write_text(json.dumps(FETCH))
    places = json.dumps({"source": str(source), "folder": str(parts)})
    done = site.play(str(site.home / "fetch.yml"), "-e", places, ansible_facts={"evil": "here"}, dest="/evil")
    if size < 2_000_000:
        assert done.returncode == 0, done.stdout + done.stderr
        assert "keys: changed,failed,part; evil: none" in done.stdout
        assert [(path.name, path.stat().st_size) for path in parts.iterdir()] == [("_._node_1.tar.gz", size)]
        assert not source.exists()
    else:
        assert done.returncode != 0
        assert f"The captures stay on that machine, in {source}" in done.stdout
        assert list(parts.iterdir()) == []
        assert source.stat().st_size == size


@pytest.mark.parametrize("path", ["/srv/a\n!touch here", "relative"])
def test_refuses_archive_path_with_a_command(site: Site, path: str) -> None:
    """A line `!command` makes sftp run a command on the controller."""
    (site.home / "fetch.yml").write_text(json.dumps(FETCH))
    done = site.play(str(site.home / "fetch.yml"), "-e", json.dumps({"source": path, "folder": str(site.home)}))
    assert done.returncode != 0
    assert "returned no valid path of an archive" in done.stdout
    assert not list(site.home.glob("*.tar.gz"))
