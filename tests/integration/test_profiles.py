# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles of real services on a real cluster: by way of the API server, and by SSH on nodes that have none."""

from __future__ import annotations

import collections
import gzip
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import component_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import KINDS
from deploy import apply, manifests
from deploy.sets import Set, expectation
from standins import Machine, Standin
from test_access import inventory, remains, ssh_host
from world import ROOT, Run, World, asked, call, installed, play

NAMESPACE = "onecloud-profiles"
TROUBLED = "onecloud-profile-faults"
FAULT_LABEL = "cloudpods.lab/fault"
PLAYBOOK = "cloudpods.diagnostics.capture_profiles"
PROFILER = f"profiler-{os.getpid()}"
SWITCHED_ON = "enable_app_profiling: true\n"
REGIONS = 2
HOT = "cloudpods.lab/services/pkg/troubles.hashBlocks"
EXACT = {name for name, kind in KINDS.items() if kind.exact}


def workloads() -> Set:
    """Services with profiling on, one with it off (glance), and one that has none at all. notify is for a long profile:
    a process can be profiled but once at a time."""
    made, expected = [manifests.namespace(NAMESPACE)], []
    for component in ("region", "scheduler", "monitor", "webconsole", "host-image", "glance", "mcp-server", "notify"):
        extra = "" if component == "glance" else SWITCHED_ON
        made.append(manifests.config_map(component, namespace=NAMESPACE, extra=extra))
        if component == "host-image":
            # Not on the nodes' own network, where that of another namespace has the port.
            apart = {"hostNetwork": False, "hostPID": False, "hostIPC": False}
            made.append(manifests.daemonset(component, namespace=NAMESPACE, pod_extra=apart))
        else:
            replicas = REGIONS if component == "region" else 1
            behaviour = {"region": {"spin": 40, "chan_wait": 7}, "notify": {"spin": 5}}.get(component)
            made.append(manifests.deployment(component, namespace=NAMESPACE, replicas=replicas, behaviour=behaviour))
        expected.append(expectation(made[-1]))
    return Set(NAMESPACE, made, expected)


@pytest.fixture(scope="module")
def profiled(world: World, cluster: apply.Cluster) -> Iterator[World]:
    apply.apply(cluster, workloads())
    apply.wait(cluster, workloads())
    yield world
    apply.delete(cluster, NAMESPACE)


def kubeconfig_of(world: World, user: str, namespace: str) -> str:
    """The kubeconfig of a user who has the published Role for profiles, and no more."""
    role = (ROOT / "docs" / "rbac-profiles.yml").read_text().replace("namespace: onecloud", f"namespace: {namespace}")
    manifest = Path(world.kubeconfig).with_name(f"{user}.yml")
    manifest.write_text(role)
    world.kubectl("apply", "-f", str(manifest))
    world.kubectl("-n", namespace, "delete", "rolebinding", user, "--ignore-not-found")
    world.kubectl("-n", namespace, "create", "rolebinding", user, "--role=cloudpods-profiles", f"--user={user}")
    return world.lab("kubeconfig", "--user", user).strip()


@dataclass
class Taken:
    """What one call of the module returned and left."""

    result: dict[str, Any]
    folder: Path
    seconds: float

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "ledger.jsonl").read_text().splitlines()]

    def reasons(self, instance: str) -> dict[str, str]:
        rows = [row for row in self.rows if row["instance"] == instance]
        found = {row["capture"].removeprefix("profile:"): row["reason"] for row in rows}
        assert len(found) == len(rows)
        return found


def take(kubeconfig: str, folder: Path, *arguments: str, **options: Any) -> Taken:
    """One call of the installed module, by Ansible, as a user makes it."""
    installed()  # it is the module that takes its time, not the installation
    begun = time.monotonic()
    outcome, result = call("profile_dump", kubeconfig, folder, *arguments, **options)
    assert outcome in ("SUCCESS", "CHANGED"), result
    return Taken(result, folder / "part", time.monotonic() - begun)


# All kinds, over the API server and over SSH without one

FULL = {"cloudpods_profile_set": "full", "cloudpods_cpu_seconds": 2, "cloudpods_fail_on": "none"}


@pytest.fixture(scope="module")
def over_api(profiled: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    components = ["region", "scheduler", "monitor", "webconsole", "host-image", "glance", "mcp-server"]
    variables = {"cloudpods_namespace": NAMESPACE, "cloudpods_components": components}
    kubeconfig = kubeconfig_of(profiled, PROFILER, NAMESPACE)
    return play(tmp_path_factory.mktemp("api"), {"kubeconfig": kubeconfig, **FULL, **variables}, playbook=PLAYBOOK)


@pytest.fixture(scope="module")
def over_ssh(profiled: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same on the nodes themselves, while the API server is frozen."""
    hosts = inventory(**{node["name"].replace("-", "_"): ssh_host(node) for node in profiled.nodes})
    variables = {
        "cloudpods_transport": "host",
        "cloudpods_cluster": "cloud-a",
        "cloudpods_components": ["region", "scheduler", "monitor", "webconsole", "host-image", "glance"],
    }
    control_plane = profiled.state["control_plane"]["name"]
    profiled.lab("fault", "freeze", f"{control_plane}/kube-apiserver")
    try:
        return play(tmp_path_factory.mktemp("ssh"), {**FULL, **variables}, inventory=hosts, playbook=PLAYBOOK)
    finally:
        profiled.lab("fault", "thaw", f"{control_plane}/kube-apiserver")


@pytest.fixture(params=["over_api", "over_ssh"])
def run(request) -> Run:
    """Each way."""
    return request.getfixturevalue(request.param)


def rows_of(run: Run, kind: str, component: str = "region", **wanted: Any) -> list[dict[str, Any]]:
    return run.of(f"profile:{kind}", component=component, namespace=NAMESPACE, **wanted)


WHOLE = {
    "index": "recorded",
    "cmdline": "recorded",
    "symbol": "recorded",
    "heap": "profile_whole",
    "allocs": "profile_whole",
    "goroutine": "profile_whole",
    "goroutine_debug1": "proven",
    "goroutine_debug2": "profile_whole",
    "threadcreate": "profile_whole",
    "block": "profile_empty",
    "mutex": "profile_empty",
    "cpu": "profile_whole",
    "trace": "profile_whole",
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_taken_of_each_replica_and_proven(run, kind):
    rows = rows_of(run, kind)
    assert len(rows) == REGIONS, run.shown
    for row in rows:
        assert (row["status"], row["reason"]) == ("complete", WHOLE[kind]), row["message"]
        assert (run.bundle / row["path"]).name == KINDS[kind].file
        assert (run.bundle / row["path"]).stat().st_size == row["bytes"] > 0


def test_index_lists_the_profiles(run):
    for row in rows_of(run, "index"):
        page = (run.bundle / row["path"]).read_text()
        assert all(f"{name}?debug=1" in page for name in ("goroutine", "heap", "threadcreate", "block", "mutex"))


def test_cmdline_is_the_services_own(run):
    for row in rows_of(run, "cmdline"):
        assert (run.bundle / row["path"]).read_bytes().split(b"\0") == [
            b"/opt/yunion/bin/region", b"--config", b"/etc/yunion/region.conf",
        ]  # fmt: skip


def test_profile_shows_the_hot_function(run):
    for row in rows_of(run, "cpu"):
        assert 1.9 < row["details"]["duration"] < 4.0
        top = json.loads((run.bundle / row["path"]).with_name("cpu.top.json").read_text())
        assert HOT in json.dumps(top)
        assert row["details"]["top_function"]
        page = (run.bundle / row["path"]).with_name("cpu.flame.html").read_text()
        assert "hashBlocks" in page


def test_symbol_by_get_says_that_addresses_can_be_named(run):
    for row in rows_of(run, "symbol"):
        assert (run.bundle / row["path"]).read_text() == "num_symbols: 1\n"


def addresses(run: Run) -> dict[str, str]:
    """Address -> function, as a dump of one replica tells them itself."""
    row = rows_of(run, "goroutine_debug1")[0]
    text = (run.bundle / row["path"]).read_text()
    found = re.findall(r"^#\t(0x[0-9a-f]+)\t+(\S+)\+0x[0-9a-f]+\t", text, re.MULTILINE)
    return dict(found)


def test_symbol_by_post_names_the_addresses_of_a_dump(profiled, over_api, tmp_path):
    wanted = addresses(over_api)
    asked_for = sorted(wanted)[:250]
    assert len(asked_for) > 50
    options = {"namespaces": [NAMESPACE], "components": ["region"], "kinds": ["symbol"]}
    taken = take(profiled.kubeconfig, tmp_path, addresses=[*asked_for, "0x1"], **options)
    named = collections.defaultdict(dict)
    for item in taken.result["names"]:
        named[item["instance"]][item["address"]] = item["name"]
    assert len(named) == REGIONS
    for names in named.values():
        # An inlined function has the address of the one that it is in.
        differ = {at for at in asked_for if names[at] != wanted[at]}
        assert len(differ) < len(asked_for) / 3
        assert "0x1" not in names
    assert taken.result["changed"] is False
    posts = [row for row in taken.rows if row["capture"] == "profile:names"]
    assert [row["details"]["addresses"] for row in posts] == [len(asked_for) + 1] * REGIONS


def test_symbol_by_post_works_on_a_node_without_the_api_server(profiled, over_ssh, tmp_path):
    node = next(node for node in profiled.nodes if any(r["node"] == node["name"] for r in rows_of(over_ssh, "index")))
    at = sorted(addresses(over_ssh))[:3]
    hosts = tmp_path / "hosts.json"
    hosts.write_text(json.dumps(inventory(one=ssh_host(node))))
    options = {"transport": "host", "components": ["region"], "kinds": ["symbol"], "addresses": at}
    options["output"] = folder = f"/root/{tmp_path.name}"
    command = [
        "ansible",
        "one",
        "-i",
        str(hosts),
        "-m",
        "cloudpods.diagnostics.profile_dump",
        "-a",
        json.dumps(options),
    ]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(installed()), "ANSIBLE_FORCE_COLOR": "0"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    finally:
        profiled.lab("exec", node["name"], "--", "rm", "-rf", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.partition(" => ")[2])
    assert {item["address"] for item in result["names"]} == set(at)


def test_trace_is_one_that_go_can_read(run, tmp_path):
    for row in rows_of(run, "trace"):
        assert row["details"]["go"]
        done = subprocess.run(
            ["go", "tool", "trace", "-d=footprint", str(run.bundle / row["path"])], capture_output=True, text=True,
            check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_goroutines_come_with_states_and_are_counted_the_same(run):
    for text, binary in zip(rows_of(run, "goroutine_debug2"), rows_of(run, "goroutine"), strict=True):
        parsed = json.loads((run.bundle / text["details"]["parsed"]).read_text())
        waiting = [group for group in parsed["groups"] if "troubles.waitForEvent" in " ".join(group["functions"])]
        assert [(group["count"], group["state"]) for group in waiting] == [(7, "chan receive")]
        assert abs(text["details"]["goroutines"] - binary["details"]["totals"][0]) < 20


@pytest.mark.parametrize("component", ["scheduler", "monitor", "webconsole"])
def test_components_with_exact_paths_have_just_these(run, component):
    for kind in KINDS:
        (row,) = rows_of(run, kind, component)
        if kind in EXACT:
            assert row["status"] == "complete", row["message"]
        else:
            assert (row["status"], row["reason"]) == ("skipped", "not_registered")


def test_where_profiling_is_off_it_is_said_how_to_switch_it_on(run):
    for kind in KINDS:
        (row,) = rows_of(run, kind, "glance")
        assert (row["status"], row["reason"], row["path"]) == ("failed", "profiling_off", "")
        assert "enable_app_profiling: true" in row["message"]


def test_what_is_without_tls_is_profiled_too(run):
    rows = rows_of(run, "heap", "host-image")
    assert len(rows) == 2
    assert {row["reason"] for row in rows} == {"profile_whole"}


def test_the_closing_table_shows_the_top_function(run):
    line = next(line for line in run.shown.splitlines() if '"region ' in line and "% of cpu" in line)
    assert "crc32" in line or "hashBlocks" in line


def test_the_plan_is_shown_before(over_api):
    shown = over_api.shown
    assert shown.index("region: 2 instances: index") < shown.index("% of cpu")
    assert "about 6 s" in shown


def test_the_bundle_is_sealed_and_follows_its_schemas(run):
    schema = json.loads((ROOT / "docs" / "schemas" / "ledger-row.schema.json").read_text())
    jsonschema.validate(run.rows, {"items": schema})
    assert run.code == 0, run.shown
    assert run.archive.exists()
    assert not (run.bundle / "issue.md").exists()


def test_nothing_is_left_on_the_nodes(profiled, over_ssh):
    assert over_ssh.rows
    for node in profiled.nodes:
        assert remains(profiled, node) == ""


def test_the_api_server_saw_the_listing_and_one_read_for_each_row(profiled, over_api):
    requests = asked(profiled, PROFILER)
    assert {(verb, resource) for verb, resource, _path in requests} == {("list", "pods"), ("get", "pods/proxy")}
    proxied = collections.Counter(
        path.partition("/proxy")[2] for _verb, resource, path in requests if resource == "pods/proxy"
    )
    complete = [row for row in over_api.rows if row["status"] == "complete"]
    assert sum(count for path, count in proxied.items() if path.startswith("/debug")) == len(complete) + 1  # glance's
    assert set(proxied) <= {"/worker_stats"} | {
        "/debug/pprof/" + kind.path + words
        for kind in KINDS.values()
        for words in ("", "?debug=1", "?debug=2", "?seconds=2", "?seconds=1")
    }


def test_a_cpu_profile_runs_on_one_replica_at_a_time(over_api):
    begun = sorted(rows_of(over_api, "cpu"), key=lambda row: row["started"])
    ends = [row["started"] for row in rows_of(over_api, "trace")]
    assert begun[1]["started"] >= min(ends)


def test_check_mode_asks_no_service(profiled, tmp_path):
    options = {"namespaces": [NAMESPACE], "components": ["region"], "profile_set": "cpu", "cpu_seconds": 7}
    user = f"{PROFILER}-check"
    taken = take(kubeconfig_of(profiled, user, NAMESPACE), tmp_path, "--check", **options)
    assert taken.result["changed"] is False
    assert (taken.result["seconds"], not taken.folder.exists()) == (14.0, True)
    assert {item["reason"] for item in taken.result["would"]} == {"check_mode"}
    assert {(verb, resource) for verb, resource, _path in asked(profiled, user)} == {("list", "pods")}


def test_a_snapshot_changes_nothing_and_a_profile_of_the_processor_does(profiled, tmp_path):
    options = {"namespaces": [NAMESPACE], "components": ["region"], "cpu_seconds": 1}
    assert take(profiled.kubeconfig, tmp_path / "a", **options).result["changed"] is False
    assert take(profiled.kubeconfig, tmp_path / "b", profile_set="cpu", **options).result["changed"] is True


# By URL, and by Keystone's catalog


@pytest.fixture(scope="module")
def urls(profiled: World) -> dict[str, list[str]]:
    """The URLs of the pods themselves: the lab has no Services."""
    found: dict[str, list[str]] = {}
    for component in ("region", "glance"):
        for pod in profiled.pods(NAMESPACE, f"app={component}"):
            port = component_of(component).http.port_among(())
            found.setdefault(component, []).append(f"https://{pod['status']['podIP']}:{port}")
    assert {component: len(each) for component, each in found.items()} == {"region": REGIONS, "glance": 1}
    return found


@pytest.fixture(scope="module")
def keystone(urls: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Standin, str]]:
    """A Keystone that has these URLs in its catalog, and its own URL."""
    machine = Machine(tmp_path_factory.mktemp("keystone"))
    catalog = machine.folder / "catalog.json"
    entries = [
        {"type": component_of(component).http.service_type, "url": url, "interface": "internal", "region": "region0"}
        for component, each in urls.items()
        for url in each
    ]
    catalog.write_text(json.dumps(entries))
    try:
        service = machine.start("keystone", f"catalog={catalog}", ("--port", "0"))
        port = re.search(rb"Start listen on https?://[^:]+:(\d+)", service.log.read_bytes())[1].decode()
        yield service, f"https://localhost:{port}/v3"
    finally:
        machine.stop()


@pytest.fixture(scope="module", params=["url", "keystone"])
def over_http(request, urls, over_api, tmp_path_factory) -> Taken:
    """All kinds, and some names, by each of the ways that know no pods."""
    options: dict[str, Any] = {"transport": request.param, "components": ["region", "glance"], "profile_set": "full"}
    if request.param == "url":
        options["urls"] = urls
    else:
        _service, url = request.getfixturevalue("keystone")
        # That certificates are verified unless told otherwise: tests of the transport.
        user = {"username": "sysadmin", "password": "standin-admin-password", "project_name": "system"}
        options["keystone"] = {"auth_url": url, "insecure": True, **user}
    options["addresses"] = sorted(addresses(over_api))[:9]
    return take("", tmp_path_factory.mktemp(request.param), cpu_seconds=2, **options)


LONG_SECONDS = 75


@pytest.fixture(scope="module")
def long_profile(profiled: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Taken]]:
    """A CPU profile for longer than an API server waits for most requests (a minute unless set), begun on the side."""
    options = {"namespaces": [NAMESPACE], "components": ["notify"], "profile_set": "cpu"}
    options.update(cpu_seconds=LONG_SECONDS, force=True)
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(take, profiled.kubeconfig, tmp_path_factory.mktemp("long"), **options)


# It is begun here, and runs while others do.
@pytest.mark.usefixtures("long_profile")
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_taken_by_url_and_proven(over_http, kind):
    rows = [row for row in over_http.rows if (row["component"], row["capture"]) == ("region", f"profile:{kind}")]
    assert len(rows) == REGIONS
    for row in rows:
        assert (row["status"], row["reason"]) == ("complete", WHOLE[kind]), row["message"]
        assert (over_http.folder / row["path"]).stat().st_size == row["bytes"] > 0


def test_what_came_by_url_is_the_services_own(over_http):
    for row in over_http.rows:
        if row["component"] == "region" and row["capture"] == "profile:symbol":
            assert (over_http.folder / row["path"]).read_text() == "num_symbols: 1\n"
        if row["component"] == "region" and row["capture"] == "profile:cpu":
            data = (over_http.folder / row["path"]).read_bytes()
            assert b"troubles.hashBlocks" in gzip.decompress(data)
            assert 1.9 < row["details"]["duration"] < 4.0


def test_symbol_by_post_names_addresses_by_url(over_http, over_api):
    wanted = addresses(over_api)
    asked_for = sorted(wanted)[:9]
    by_instance = collections.defaultdict(dict)
    for item in over_http.result["names"]:
        by_instance[item["instance"]][item["address"]] = item["name"]
    assert len(by_instance) == REGIONS
    for names in by_instance.values():
        assert sorted(names) == asked_for
        # An inlined function has the address of the one that it is in.
        assert sum(names[at] == wanted[at] for at in asked_for) > len(asked_for) / 2


def test_by_url_too_it_is_said_that_profiling_is_off(over_http):
    rows = {row["capture"]: row for row in over_http.rows if row["component"] == "glance"}
    assert set(rows) == {kind.capture for kind in KINDS.values()} | {"profile:names"}
    for row in rows.values():
        assert (row["status"], row["reason"], row["path"]) == ("failed", "profiling_off", "")
        assert "enable_app_profiling: true" in row["message"]


def test_one_login_is_enough_for_all_profiles(keystone, tmp_path):
    service, url = keystone
    before = service.log.read_bytes().count(b"POST /v3/auth/tokens")
    user = {"username": "sysadmin", "password": "standin-admin-password", "project_name": "system"}
    options = {"transport": "keystone", "components": ["region"], "kinds": ["heap", "goroutine"]}
    taken = take("", tmp_path, keystone={"auth_url": url, "insecure": True, **user}, **options)
    assert taken.result["counts"]["complete"] == 3 * REGIONS
    assert service.log.read_bytes().count(b"POST /v3/auth/tokens") == before + 1


# Stacks


@pytest.mark.parametrize("method", ["auto", "pprof"])
def test_stacks_gain_states_and_waits_where_profiling_is_on(profiled, tmp_path, method):
    variables = {
        "kubeconfig": profiled.kubeconfig,
        "cloudpods_namespace": NAMESPACE,
        "cloudpods_components": ["region", "glance"],
        "cloudpods_dump_method": method,
    }
    run = play(tmp_path, variables)
    assert run.code == 0, run.shown
    signalled = run.of()
    assert len(signalled) == (0 if method == "pprof" else REGIONS + 1)
    rows = run.of("stack:pprof")
    reasons = collections.Counter((row["component"], row["reason"]) for row in rows)
    assert reasons == {
        ("region", "profile_whole"): REGIONS, **({("glance", "profiling_off"): 1} if method == "pprof" else {}),
    }  # fmt: skip
    for row in rows:
        if row["component"] == "region":
            parsed = json.loads((run.bundle / row["details"]["parsed"]).read_text())
            assert {"chan receive", "select", "IO wait"} <= {group["state"] for group in parsed["groups"]}
            if method == "auto":
                # After its own signal, not instead of it.
                (stack,) = run.of(instance=row["instance"])
                assert stack["details"]["signal_sent"] < row["started"]


# What goes wrong


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a region, and the reason of each kind then; kinds that are not named: as of a healthy one."""

    behaviour: dict[str, Any]
    reasons: dict[str, str]


def fault(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"http_fault": name, "http_fault_path": f"/debug/pprof/{path}", **more}


ASKED = ("index", "heap", "goroutine", "cpu", "trace")
NONE_OF_THEM = dict.fromkeys(ASKED, "")
LIMIT = 16 << 20
TROUBLES = {
    "well": Trouble({}, {}),
    "forbidden": Trouble(fault("forbidden", ""), dict.fromkeys(ASKED, "user_agent_refused")),
    "cut": Trouble(fault("cut", "heap"), {"heap": "body_cut"}),
    # So little of it comes that the API server does not hand it on.
    "short": Trouble(fault("short", "profile", spin=40), {"cpu": "connection_broken"}),
    "die": Trouble(fault("die", "profile", spin=40), {"cpu": "body_cut", "trace": ""}),
    "big": Trouble(fault("random", "heap", http_fault_size=200), {"heap": "body_too_large"}),
    "bomb": Trouble(fault("bomb", "heap", http_fault_size=300), {"heap": "profile_too_large"}),
    "hostile": Trouble(fault("hostile", "heap"), {"heap": "profile_bad"}),
    "endless": Trouble(fault("endless", "trace"), {"trace": "body_too_large"}),
    "hang": Trouble(fault("hang", "heap"), {kind: "no_answer" for kind in ASKED if kind != "index"}),
    "html": Trouble(fault("html", "heap"), {"heap": "profile_bad"}),
    "empty": Trouble(fault("empty", "heap"), {"heap": "profile_cut"}),
    "reset": Trouble(fault("reset", "heap"), {"heap": "connection_broken"}),
    "redirect": Trouble(fault("redirect", "heap"), {"heap": "redirected"}),
    "unavailable": Trouble(fault("unavailable", "heap"), {"heap": "server_error"}),
    "saturated": Trouble(
        {"db_latency": "forever", "http_storm": 760, "http_timeout": "forever"}, dict.fromkeys(ASKED, "pool_saturated")
    ),
    "blind": Trouble(
        {"http_fault": "hang", "http_fault_path": "/worker_stats"}, dict.fromkeys(("cpu", "trace"), "pool_unknown")
    ),
}


def planted() -> Set:
    made = [manifests.namespace(TROUBLED), manifests.config_map("region", namespace=TROUBLED, extra=SWITCHED_ON)]
    expected = []
    for name, trouble in TROUBLES.items():
        options = {"behaviour": trouble.behaviour, "extra_labels": {FAULT_LABEL: name}}
        options["pod_extra"] = {"initContainers": []}
        # A service whose workers are busy is not ready; that is no matter here.
        made.append(manifests.deployment("region", namespace=TROUBLED, suffix=name, **options))
        expected.append(expectation(made[-1], speaks=False))
    return Set(TROUBLED, made, expected)


@pytest.fixture(scope="module")
def faults(
    world: World, cluster: apply.Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Taken, dict[str, str]]]:
    """All of them profiled in one call: (what came of it, fault -> pod)."""
    apply.apply(cluster, planted())
    apply.wait(cluster, planted())
    pods = {pod["metadata"]["labels"][FAULT_LABEL]: pod["metadata"]["name"] for pod in world.pods(TROUBLED)}
    folder = tmp_path_factory.mktemp("faults")
    options = {"namespaces": [TROUBLED], "components": ["region"], "kinds": list(ASKED), "max_bytes": LIMIT}
    options.update(cpu_seconds=1, timeout=8, max_replicas_at_once=20, deadline=120)
    yield take(world.kubeconfig, folder, **options), pods
    apply.delete(cluster, TROUBLED)


@pytest.mark.parametrize("name", TROUBLES)
def test_every_fault_has_its_reason_and_spoils_nothing_else(faults, name):
    taken, pods = faults
    reasons = taken.reasons(pods[name])
    assert set(reasons) == set(ASKED)
    healthy = {"index": "recorded", "heap": "profile_whole", "goroutine": "profile_whole", "trace": "profile_whole"}
    # An idle service uses no processor.
    healthy["cpu"] = "profile_whole" if TROUBLES[name].behaviour.get("spin") else reasons["cpu"]
    expected = {**healthy, **TROUBLES[name].reasons}
    if name == "die":
        # It starts again at once, or does not yet.
        expected["trace"] = reasons["trace"]
        assert reasons["trace"] in ("connection_broken", "connection_refused", "profile_whole", "gone", "profiling_off")
    assert reasons == expected
    if "cpu" not in TROUBLES[name].reasons:
        assert reasons["cpu"] in ("profile_whole", "profile_empty")


def test_what_came_is_kept_and_nothing_is_larger_than_allowed(faults):
    taken, pods = faults
    by_pod = {pod: name for name, pod in pods.items()}
    kept = {}
    for row in taken.rows:
        assert row["bytes"] <= LIMIT
        assert row["message"].isprintable()
        assert row["status"] == "complete" or "Next:" in row["message"]
        if row["path"]:
            assert (taken.folder / row["path"]).stat().st_size == row["bytes"]
            kept[by_pod[row["instance"]], row["capture"].removeprefix("profile:")] = row["bytes"]
    assert kept["big", "heap"] == LIMIT
    assert kept["endless", "trace"] == LIMIT
    assert kept["cut", "heap"] > 0
    assert kept["die", "cpu"] > 0
    assert kept["bomb", "heap"] < LIMIT
    assert ("saturated", "heap") not in kept


def test_none_is_waited_for_longer_than_its_deadline(faults):
    taken, pods = faults
    for row in taken.rows:
        assert row["duration"] < 8 + 1 + 6
    hung = [row for row in taken.rows if row["instance"] == pods["hang"] and row["reason"] == "no_answer"]
    assert sum(row["duration"] for row in hung) < 10
    assert taken.seconds < 60


def test_a_saturated_service_got_no_further_question(world, faults):
    _taken, pods = faults
    log = world.kubectl("-n", TROUBLED, "logs", pods["saturated"])
    assert "pprof" not in log


def test_a_forced_question_is_asked_all_the_same(world, faults, tmp_path):
    _taken, pods = faults
    instance = {"cluster": "c1", "component": "region", "name": pods["blind"], "namespace": TROUBLED}
    options = {"instances": [instance], "kinds": ["cpu"], "cpu_seconds": 1, "timeout": 5, "force": True}
    taken = take(world.kubeconfig, tmp_path, **options)
    assert taken.reasons(pods["blind"])["cpu"] in ("profile_whole", "profile_empty")


def test_without_the_right_it_says_which_one_is_missing(profiled, tmp_path):
    user = f"{PROFILER}-poor"
    role = (ROOT / "docs" / "rbac.yml").read_text().replace("namespace: onecloud", f"namespace: {NAMESPACE}")
    manifest = tmp_path / "rbac.yml"
    manifest.write_text(role)
    profiled.kubectl("apply", "-f", str(manifest))
    name = re.search(r"^  name: (\S+)", role, re.MULTILINE)[1]
    profiled.kubectl("-n", NAMESPACE, "create", "rolebinding", user, f"--role={name}", f"--user={user}")
    kubeconfig = profiled.lab("kubeconfig", "--user", user).strip()
    taken = take(kubeconfig, tmp_path, namespaces=[NAMESPACE], components=["scheduler"], profile_set="cpu")
    rows = {row["capture"]: row for row in taken.rows}
    assert {row["reason"] for row in rows.values()} == {"forbidden"}
    assert "pods/proxy" in rows["profile:index"]["message"]


def test_a_profile_of_more_than_a_minute_comes_whole_through_the_api_server(long_profile):
    (row,) = [row for row in long_profile.result().rows if row["capture"] == "profile:cpu"]
    assert (row["status"], row["reason"]) == ("complete", "profile_whole"), row["message"]
    assert LONG_SECONDS <= row["details"]["duration"] <= row["duration"] < LONG_SECONDS + 10
