# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles of real services on a real cluster: through the API server, and over SSH on nodes without one."""

from __future__ import annotations

import collections
import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import KINDS
from deploy import apply
from profile_clouds import CPU_SECONDS, GO_DEFAULT_SECONDS, REGIONS, TRACE_SECONDS, WHOLE, addresses, take, workloads
from test_access import inventory, remains, ssh_host
from world import ROOT, Run, World, asked, installed, kubeconfig_of, play, published

NAMESPACE = "onecloud-profiles"
PLAYBOOK = "cloudpods.diagnostics.capture_profiles"
PROFILER = f"profiler-{os.getpid()}"  # Unique in each run, because runs share the lab's audit log.
COMPONENTS = ["region", "scheduler", "monitor", "webconsole", "host-image", "glance"]
HOT = "cloudpods.lab/services/pkg/troubles.hashBlocks"
EXACT = {name for name, kind in KINDS.items() if kind.exact}


@pytest.fixture(scope="module")
def profiled(world: World, cluster: apply.Cluster) -> Iterator[World]:
    with apply.deployed(cluster, workloads(NAMESPACE, *COMPONENTS, "mcp-server")):
        yield world


# All kinds, through the API server, and over SSH without one

FULL = {"cloudpods_profile_set": "full", "cloudpods_cpu_seconds": CPU_SECONDS, "cloudpods_fail_on": "none"}


@pytest.fixture(scope="module")
def over_api(profiled: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    variables = {"cloudpods_namespace": NAMESPACE, "cloudpods_components": [*COMPONENTS, "mcp-server"]}
    kubeconfig = kubeconfig_of(profiled, PROFILER, published("rbac-profiles"), NAMESPACE)
    return play(
        tmp_path_factory.mktemp("api"), {"cloudpods_kubeconfig": kubeconfig, **FULL, **variables}, playbook=PLAYBOOK
    )


@pytest.fixture(scope="module")
def over_ssh(profiled: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return the same over SSH on the nodes, while the API server is frozen."""
    hosts = inventory(**{node["name"].replace("-", "_"): ssh_host(node) for node in profiled.nodes})
    variables = {
        "cloudpods_transport": "host",
        "cloudpods_cluster": "cloud-a",
        "cloudpods_components": COMPONENTS,
    }
    control_plane = profiled.state["control_plane"]["name"]
    profiled.lab("fault", "freeze", f"{control_plane}/kube-apiserver")
    try:
        return play(tmp_path_factory.mktemp("ssh"), {**FULL, **variables}, inventory=hosts, playbook=PLAYBOOK)
    finally:
        profiled.lab("fault", "thaw", f"{control_plane}/kube-apiserver")


@pytest.fixture(params=["over_api", "over_ssh"])
def run(request) -> Run:
    """Return the run of each transport."""
    return request.getfixturevalue(request.param)


def rows_of(run: Run, kind: str, component: str = "region", **wanted: Any) -> list[dict[str, Any]]:
    return run.of(f"profile:{kind}", component=component, namespace=NAMESPACE, **wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_fetches_and_verifies_each_kind_of_each_replica(run, kind):
    rows = rows_of(run, kind)
    assert len(rows) == REGIONS, run.shown
    for row in rows:
        assert (row["status"], row["reason"]) == ("complete", WHOLE[kind]), row["message"]
        assert (run.bundle / row["path"]).name == KINDS[kind].file
        assert (run.bundle / row["path"]).stat().st_size == row["bytes"] > 0


def test_index_lists_the_profiles(run):
    for row in rows_of(run, "index"):
        text = (run.bundle / row["path"]).read_text()
        assert {"goroutine", "heap", "threadcreate", "block", "mutex"} <= set(row["details"]["profiles"])
        assert all(name in text for name in row["details"]["profiles"])
        assert "href" not in text


def test_cmdline_matches_the_service(run):
    for row in rows_of(run, "cmdline"):
        assert (run.bundle / row["path"]).read_bytes().split(b"\0") == [
            b"/opt/yunion/bin/region", b"--config", b"/etc/yunion/region.conf",
        ]  # fmt: skip


def test_profile_shows_the_hot_function(run):
    for row in rows_of(run, "cpu"):
        assert CPU_SECONDS * 0.95 < row["details"]["duration"] < GO_DEFAULT_SECONDS
        top = json.loads((run.bundle / row["path"]).with_name("cpu.top.json").read_text())
        assert HOT in json.dumps(top)
        assert row["details"]["top_function"], row["details"]["load"]
        page = (run.bundle / row["path"]).with_name("cpu.flame.html").read_text()
        assert "hashBlocks" in page


def test_symbol_by_get_reports_that_symbols_are_available(run):
    for row in rows_of(run, "symbol"):
        assert (run.bundle / row["path"]).read_text() == "num_symbols: 1\n"


def test_symbol_by_post_resolves_addresses_of_a_dump(profiled, over_api, tmp_path):
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
        # An inlined function has the address of the function that contains it.
        differ = {at for at in asked_for if names[at] != wanted[at]}
        assert len(differ) < len(asked_for) / 3
        assert "0x1" not in names
    assert taken.result["changed"] is False
    posts = [row for row in taken.rows if row["capture"] == "profile:names"]
    assert [row["details"]["addresses"] for row in posts] == [len(asked_for) + 1] * REGIONS


def test_symbol_by_post_works_on_a_node_without_api_server(profiled, over_ssh, tmp_path):
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


def test_go_tool_reads_the_trace(run, tmp_path):
    for row in rows_of(run, "trace"):
        assert row["details"]["go"]
        done = subprocess.run(
            ["go", "tool", "trace", "-d=footprint", str(run.bundle / row["path"])], capture_output=True, text=True,
            check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_goroutine_profiles_have_states_and_equal_counts(run):
    for text, binary in zip(rows_of(run, "goroutine_debug2"), rows_of(run, "goroutine"), strict=True):
        parsed = json.loads((run.bundle / text["details"]["parsed"]).read_text())
        waiting = [group for group in parsed["groups"] if "troubles.waitForEvent" in " ".join(group["functions"])]
        assert [(group["count"], group["state"]) for group in waiting] == [(7, "chan receive")]
        assert abs(text["details"]["goroutines"] - binary["details"]["totals"][0]) < 20


@pytest.mark.parametrize("component", ["scheduler", "monitor", "webconsole"])
def test_components_with_exact_paths_serve_only_these(run, component):
    for kind in KINDS:
        (row,) = rows_of(run, kind, component)
        if kind in EXACT:
            assert row["status"] == "complete", row["message"]
        else:
            assert (row["status"], row["reason"]) == ("skipped", "not_registered")


def test_disabled_profiling_row_tells_how_to_enable_it(run):
    for kind in KINDS:
        (row,) = rows_of(run, kind, "glance")
        assert (row["status"], row["reason"], row["path"]) == ("failed", "profiling_off", "")
        assert "enable_app_profiling: true" in row["message"]


def test_profiles_services_without_tls(run):
    rows = rows_of(run, "heap", "host-image")
    assert len(rows) == 2
    assert {row["reason"] for row in rows} == {"profile_whole"}


def test_final_table_shows_the_top_function(run):
    line = next(line for line in run.shown.splitlines() if line.startswith("region ") and "% of cpu" in line)
    assert "crc32" in line or "hashBlocks" in line


def test_shows_the_plan_before_the_run(over_api):
    shown = over_api.shown
    assert shown.index("region: 2 instances: index") < shown.index("% of cpu")
    assert f"about {REGIONS * (CPU_SECONDS + TRACE_SECONDS)} s" in shown


def test_seals_a_bundle_that_matches_the_schemas(run):
    schema = json.loads((ROOT / "docs" / "schemas" / "ledger-row.schema.json").read_text())
    jsonschema.validate(run.rows, {"items": schema})
    assert run.code == 0, run.shown
    assert run.archive.exists()
    assert not (run.bundle / "issue.md").exists()


def test_leaves_nothing_on_the_nodes(profiled, over_ssh):
    assert over_ssh.rows
    for node in profiled.nodes:
        assert remains(profiled, node) == ""


def test_sends_one_list_and_one_request_per_row(profiled, over_api):
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
        for words in ("", "?debug=1", "?debug=2", f"?seconds={CPU_SECONDS}", f"?seconds={TRACE_SECONDS}")
    }


def test_runs_one_cpu_profile_at_a_time_per_component(over_api):
    begun = sorted(rows_of(over_api, "cpu"), key=lambda row: row["started"])
    ends = [row["started"] for row in rows_of(over_api, "trace")]
    assert begun[1]["started"] >= min(ends)


def test_check_mode_sends_no_request_to_services(profiled, tmp_path):
    options = {"namespaces": [NAMESPACE], "components": ["region"], "profile_set": "cpu", "cpu_seconds": 7}
    user = f"{PROFILER}-check"
    taken = take(kubeconfig_of(profiled, user, published("rbac-profiles"), NAMESPACE), tmp_path, "--check", **options)
    assert taken.result["changed"] is False
    assert (taken.result["seconds"], not taken.folder.exists()) == (14.0, True)
    assert {item["reason"] for item in taken.result["would"]} == {"check_mode"}
    assert {(verb, resource) for verb, resource, _path in asked(profiled, user)} == {("list", "pods")}


def test_only_cpu_profiles_report_a_change(profiled, tmp_path):
    options = {"namespaces": [NAMESPACE], "components": ["region"], "cpu_seconds": 1}
    assert take(profiled.kubeconfig, tmp_path / "a", **options).result["changed"] is False
    assert take(profiled.kubeconfig, tmp_path / "b", profile_set="cpu", **options).result["changed"] is True


def test_names_the_missing_permission(profiled, tmp_path):
    user = f"{PROFILER}-poor"
    kubeconfig = kubeconfig_of(profiled, user, published("rbac"), NAMESPACE)
    taken = take(kubeconfig, tmp_path, namespaces=[NAMESPACE], components=["scheduler"], profile_set="cpu")
    rows = {row["capture"]: row for row in taken.rows}
    assert {row["reason"] for row in rows.values()} == {"forbidden"}
    assert "pods/proxy" in rows["profile:index"]["message"]
