# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search for a kubeconfig, and messages about one that cannot be used."""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
import sys

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import SetupError
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.api import Api
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.config import (
    ConfigPlaces,
    configure,
    find_kubeconfig,
)
from peers import OK, peer

import collection
from patience import patience

TOKEN = "hush-hush-hush"  # noqa: S105 (of nobody)
DENIED = object()


def kubeconfig(server="https://127.0.0.1:1", cluster="cloud-x", current="prod"):
    """Return a kubeconfig with the contexts prod and test."""
    context = {"cluster": cluster, "user": "u"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server}}],
        "contexts": [{"name": "prod", "context": context}, {"name": "test", "context": context}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        **({"current-context": current} if current else {}),
    }


@pytest.fixture
def places(tmp_path) -> ConfigPlaces:
    home, admin, k3s, token = (str(tmp_path / name) for name in ("home", "admin.conf", "k3s.yaml", "token"))
    return ConfigPlaces(home, (admin, k3s), token)


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A machine with these files and no others: node(path=content). DENIED: a file that may not be read."""
    monkeypatch.setattr(platform, "node", lambda: "node-1")
    monkeypatch.setattr(getpass, "getuser", lambda: "ann")
    denied = set()
    access, stat = os.access, os.stat

    def guarded_stat(path, *options, **more):
        if path in denied:
            raise PermissionError(path)
        return stat(path, *options, **more)

    monkeypatch.setattr(os, "access", lambda path, mode: path not in denied and access(path, mode))
    monkeypatch.setattr(os, "stat", guarded_stat)

    def make(**files):
        for name, content in files.items():
            path = tmp_path / {"home": "home", "admin": "admin.conf", "k3s": "k3s.yaml"}.get(name, name)
            if content is DENIED:
                denied.add(str(path))
            else:
                path.write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path

    return make


def authorization(found):
    return found.configuration.auth_settings()["BearerToken"]["value"]


@pytest.fixture
def configured(places):
    """Make the configuration on that machine."""
    return lambda params, environment=None: configure(params, environment or {}, places)


@pytest.fixture
def refused(configured):
    """Return the message about options that cannot be used."""

    def message(params, environment=None):
        with pytest.raises(SetupError) as failed:
            configured(params, environment)
        return str(failed.value)

    return message


@pytest.mark.parametrize(
    ("files", "params", "environment", "found"),
    [
        (("home", "admin", "k3s"), {}, {}, "home"),
        (("admin", "k3s"), {}, {}, "admin.conf"),
        (("k3s",), {}, {}, "k3s.yaml"),
        (("k3s", "own"), {"kubeconfig": "{}/own"}, {}, "own"),
        (("k3s", "own"), {}, {"K8S_AUTH_KUBECONFIG": "{}/own"}, "own"),
        (("k3s", "own"), {}, {"KUBECONFIG": "{}/absent:{}/own"}, "absent:{}/own"),
        (("k3s",), {"context": "prod"}, {}, "k3s.yaml"),
        (("home",), {"host": "https://x"}, {}, "home"),
    ],
)
def test_uses_first_readable_kubeconfig(node, places, files, params, environment, found):
    folder = node(**dict.fromkeys(files, kubeconfig()))

    def placed(values):
        return {name: value.replace("{}", str(folder)) for name, value in values.items()}

    expected = f"{folder}/{found}".replace("{}", str(folder))
    assert find_kubeconfig(placed(params), placed(environment), places) == expected


def test_uses_kubeconfig_of_control_node(node, configured):
    node(admin=kubeconfig("https://api.example:6443", "cloud-7"))
    found = configured({}, {})
    assert (found.configuration.host, found.cluster) == ("https://api.example:6443", "cloud-7")
    assert configured({"context": "test"}).cluster == "cloud-7"


def test_sends_administrator_credentials_to_no_other_server(node, refused, configured):
    node(admin=kubeconfig(), k3s=kubeconfig())
    text = refused({"host": "https://other.example:6443"})
    assert "cloudpods_host alone gives no credentials. Next: give cloudpods_api_key" in text
    assert configured({"host": "https://other.example", "api_key": "k"}).configuration.host == "https://other.example"


def test_credentials_of_one_cluster_do_not_reach_the_next(node, configured):
    node(admin=kubeconfig("https://api.example:6443", "cloud-7"))
    assert authorization(configured({})) == f"Bearer {TOKEN}"
    assert authorization(configured({"host": "https://other.example", "api_key": "k"})) == "Bearer k"


def test_lists_places_when_no_kubeconfig_is_found(node, refused):
    folder = node()
    assert refused({"kubeconfig": "", "context": ""}) == (
        "No kubeconfig was found on node-1. Looked at: cloudpods_kubeconfig, K8S_AUTH_KUBECONFIG and KUBECONFIG (not "
        f"set), {folder}/home (not there), {folder}/admin.conf (not there), {folder}/k3s.yaml (not there), the service "
        "account of a pod (this is none). Next: give the path of a kubeconfig there with cloudpods_kubeconfig, or run "
        "on a control node. Where that is not possible, use cloudpods_transport=host on a node."
    )


def test_suggests_become_for_unreadable_file(node, refused):
    folder = node(admin=DENIED)
    text = refused({})
    assert f"{folder}/admin.conf (not readable for ann)" in text
    assert f"Next: run with --become, or make {folder}/admin.conf readable for that user." in text
    node(own=DENIED)
    assert refused({"kubeconfig": f"{folder}/own"}) == (
        f"The kubeconfig {folder}/own cannot be read by the user ann on node-1. "
        f"Next: run with --become, or make {folder}/own readable for that user."
    )


ABSENT = (
    "There is no kubeconfig {path} on node-1. Next: correct cloudpods_kubeconfig; the path is looked up at the access "
    "point, not on the controller."
)
OTHER_FILE = "Next: see whether it is the right file."
NO_CONTEXT = (
    "The kubeconfig {path} has no context 'prood'; did you mean prod? It has: prod, test. Next: correct "
    "cloudpods_context."
)
NO_CURRENT = (
    "The kubeconfig {path} has no current context. It has: prod, test. Next: choose one with cloudpods_context."
)
NO_CA = "The file /nonexistent/ca of cloudpods_ca_cert is not there on node-1. Next: correct cloudpods_ca_cert."
NOT_YAML = f"users:\n- token: {TOKEN}\n  - x: ["
UNUSABLE = {
    "absent": (None, {}, ABSENT),
    "empty": ("", {}, f"The kubeconfig {{path}} is no kubeconfig. {OTHER_FILE}"),
    "text": ("text", {}, f"The kubeconfig {{path}} is no kubeconfig. {OTHER_FILE}"),
    "yaml": (NOT_YAML, {}, f"The kubeconfig {{path}} is no kubeconfig: line 3 is not YAML. {OTHER_FILE}"),
    "no contexts": (
        {"apiVersion": "v1", "kind": "Config"}, {}, f"The kubeconfig {{path}} has no contexts. {OTHER_FILE}"
    ),
    "context": (kubeconfig(), {"context": "prood"}, NO_CONTEXT),
    "current": (kubeconfig(current=""), {}, NO_CURRENT),
    "cluster": ({**kubeconfig(), "clusters": []}, {}, "The kubeconfig {path} cannot be used: "),
    "ca": (kubeconfig(), {"ca_cert": "/nonexistent/ca"}, NO_CA),
}  # fmt: skip


@pytest.mark.parametrize(("content", "params", "told"), UNUSABLE.values(), ids=UNUSABLE)
def test_names_unusable_kubeconfig_and_next_step(node, refused, content, params, told):
    folder = node(**({"own": content} if content is not None else {}))
    path = str(folder / "own")
    text = refused({"kubeconfig": path, **params})
    wanted = told.replace("{path}", path)
    assert text.startswith(wanted) if wanted.endswith(": ") else text == wanted
    assert TOKEN not in text
    assert refused(params, {"K8S_AUTH_KUBECONFIG": path}) == text.replace(
        "correct cloudpods_kubeconfig", "correct K8S_AUTH_KUBECONFIG"
    )


def test_refuses_folder(node, refused):
    folder = node()
    assert refused({"kubeconfig": str(folder)}) == (
        f"The kubeconfig {folder} is a folder. Next: name the file in it with cloudpods_kubeconfig."
    )


@pytest.mark.parametrize("content", [f"apiVersion: v1\ntoken: {TOKEN}", f'{{"token": "{TOKEN}"}}', [TOKEN], 5])
def test_does_not_show_content_that_is_no_dictionary(node, refused, content):
    node()
    text = refused({"kubeconfig": content})
    assert text.startswith("The option kubeconfig (cloudpods_kubeconfig) is neither a path nor a dictionary. Next: ")
    assert TOKEN not in text


def test_accepts_kubeconfig_as_dictionary(node, refused, configured):
    node()
    assert configured({"kubeconfig": kubeconfig(cluster="cloud-9")}).cluster == "cloud-9"
    text = refused({"kubeconfig": kubeconfig(), "context": "tset"})
    assert text.startswith("The kubeconfig given as a dictionary has no context 'tset'; did you mean test?")


def test_uses_service_account_of_pod_before_files(node, configured, monkeypatch):
    import kubernetes  # noqa: PLC0415

    node(token="t", home=kubeconfig())  # noqa: S106 (of nobody)
    loaded = []
    monkeypatch.setattr(kubernetes.config, "load_incluster_config", lambda: loaded.append(True))
    configured({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert loaded


# Missing libraries


BLOCKED = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[2] or name.startswith(sys.argv[2] + "."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.path.insert(0, sys.argv[1])
sys.meta_path.insert(0, Absent())
base = "ansible_collections.cloudpods.diagnostics.plugins.module_utils."
__import__(base + "transports.kubernetes.config")
module = sys.modules[base + "transports.kubernetes.config"]
try:
    module.configure({"kubeconfig": "/nonexistent"}, {})
except sys.modules[base + "transports.base"].SetupError as error:
    print(error)
"""


LACKS = "lacks kubernetes (to reach an API server). Next: {python} -m pip install 'kubernetes>=24.2.0'"
NO_COLLECTION = (
    "The collection kubernetes.core is missing on the controller, and the transport kubernetes needs it. "
    "Next: ansible-galaxy collection install kubernetes.core"
)
LACKING = {"kubernetes": LACKS, "websocket": LACKS, "ansible_collections.kubernetes": NO_COLLECTION}


@pytest.mark.slow
@pytest.mark.parametrize(("absent", "told"), LACKING.items(), ids=LACKING)
def test_names_missing_library_with_install_command(absent, told):
    command = [sys.executable, "-c", BLOCKED, str(collection.link()), absent]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.replace("{python}", sys.executable) in done.stdout
    assert "Where that is not possible, use cloudpods_transport=host on a node." in done.stdout


def test_keeps_host_option_when_client_renews_token(node):
    folder = node(own=kubeconfig())
    body = b"Content-Length: 2\r\n\r\n{}"
    with peer(OK + body) as server:
        made = Api({"kubeconfig": f"{folder}/own", "host": f"http://127.0.0.1:{server.port}"}, 1)
        for _time in range(2):
            assert made.get_json("/api", {}, Deadline(patience())) == {}
        made.close()
    assert [TOKEN.encode() in head for head in server.heads] == [True, True]
