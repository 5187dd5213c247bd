# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles by URL and by Keystone's catalog, long profiles, and profiles as a part of stack captures."""

from __future__ import annotations

import collections
import gzip
import json
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import component_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import KINDS
from deploy import apply
from profile_clouds import CPU_SECONDS, GO_DEFAULT_SECONDS, REGIONS, WHOLE, Taken, addresses, take, workloads
from standins import Machine, Standin
from world import World, play

NAMESPACE = "onecloud-profiles-by-url"
# By default an API server ends most requests after a minute.
LONG_SECONDS = 62


@pytest.fixture(scope="module")
def profiled(world: World, cluster: apply.Cluster) -> Iterator[World]:
    # notify is for the long profile, because a process runs only one CPU profile at a time.
    with apply.deployed(cluster, workloads(NAMESPACE, "region", "glance", "notify")):
        yield world


# By URL, and by Keystone's catalog


@pytest.fixture(scope="module")
def urls(profiled: World) -> dict[str, list[str]]:
    """Return the URLs of the pods themselves; the lab has no Services."""
    found: dict[str, list[str]] = {}
    for component in ("region", "glance"):
        for pod in profiled.pods(NAMESPACE, f"app={component}"):
            port = component_of(component).http.port_among(())
            found.setdefault(component, []).append(f"https://{pod['status']['podIP']}:{port}")
    assert {component: len(each) for component, each in found.items()} == {"region": REGIONS, "glance": 1}
    return found


@pytest.fixture(scope="module")
def keystone(urls: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Standin, str]]:
    """Start a Keystone with these URLs in its catalog; return its own URL."""
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


@pytest.fixture(scope="module")
def named(profiled: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the function of each address, from a dump of region."""
    options = {"namespaces": [NAMESPACE], "components": ["region"], "kinds": ["goroutine_debug1"]}
    return addresses(take(profiled.kubeconfig, tmp_path_factory.mktemp("named"), **options))


@pytest.fixture(scope="module", params=["url", "keystone"])
def over_http(request, urls, named, tmp_path_factory) -> Taken:
    """Fetch all kinds, and some symbols, by each of the transports without pods."""
    options: dict[str, Any] = {"transport": request.param, "components": ["region", "glance"], "profile_set": "full"}
    if request.param == "url":
        options["urls"] = urls
    else:
        _service, url = request.getfixturevalue("keystone")
        # The transport's own tests check that certificates are verified by default.
        user = {"username": "sysadmin", "password": "standin-admin-password", "project_name": "system"}
        options["keystone"] = {"auth_url": url, "insecure": True, **user}
    options["addresses"] = sorted(named)[:9]
    return take("", tmp_path_factory.mktemp(request.param), cpu_seconds=CPU_SECONDS, **options)


@pytest.fixture(scope="module")
def long_profile(profiled: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Taken]]:
    """Start, in the background, a CPU profile longer than the default request limit of an API server (a minute)."""
    options = {"namespaces": [NAMESPACE], "components": ["notify"], "profile_set": "cpu"}
    options.update(cpu_seconds=LONG_SECONDS, force=True)
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(take, profiled.kubeconfig, tmp_path_factory.mktemp("long"), **options)


# It starts here and runs during other tests.
@pytest.mark.usefixtures("long_profile")
@pytest.mark.parametrize("kind", KINDS)
def test_fetches_and_verifies_each_kind_by_url(over_http, kind):
    rows = [row for row in over_http.rows if (row["component"], row["capture"]) == ("region", f"profile:{kind}")]
    assert len(rows) == REGIONS
    for row in rows:
        assert (row["status"], row["reason"]) == ("complete", WHOLE[kind]), row["message"]
        assert (over_http.folder / row["path"]).stat().st_size == row["bytes"] > 0


def test_content_by_url_matches_the_service(over_http):
    for row in over_http.rows:
        if row["component"] == "region" and row["capture"] == "profile:symbol":
            assert (over_http.folder / row["path"]).read_text() == "num_symbols: 1\n"
        if row["component"] == "region" and row["capture"] == "profile:cpu":
            data = (over_http.folder / row["path"]).read_bytes()
            assert b"troubles.hashBlocks" in gzip.decompress(data)
            assert CPU_SECONDS * 0.95 < row["details"]["duration"] < GO_DEFAULT_SECONDS


def test_symbol_by_post_resolves_addresses_by_url(over_http, named):
    asked_for = sorted(named)[:9]
    by_instance = collections.defaultdict(dict)
    for item in over_http.result["names"]:
        by_instance[item["instance"]][item["address"]] = item["name"]
    assert len(by_instance) == REGIONS
    for names in by_instance.values():
        assert sorted(names) == asked_for
        # An inlined function has the address of the function that contains it.
        assert sum(names[at] == named[at] for at in asked_for) > len(asked_for) / 2


def test_reports_disabled_profiling_by_url(over_http):
    rows = {row["capture"]: row for row in over_http.rows if row["component"] == "glance"}
    assert set(rows) == {kind.capture for kind in KINDS.values()} | {"profile:names"}
    for row in rows.values():
        assert (row["status"], row["reason"], row["path"]) == ("failed", "profiling_off", "")
        assert "enable_app_profiling: true" in row["message"]


def test_logs_in_once_for_all_profiles(keystone, tmp_path):
    service, url = keystone
    before = service.log.read_bytes().count(b"POST /v3/auth/tokens")
    user = {"username": "sysadmin", "password": "standin-admin-password", "project_name": "system"}
    options = {"transport": "keystone", "components": ["region"], "kinds": ["heap", "goroutine"]}
    taken = take("", tmp_path, keystone={"auth_url": url, "insecure": True, **user}, **options)
    assert taken.result["counts"]["complete"] == 3 * REGIONS
    assert service.log.read_bytes().count(b"POST /v3/auth/tokens") == before + 1


# Stacks


@pytest.mark.parametrize("method", ["auto", "pprof"])
def test_stacks_include_states_and_waits_if_profiling_is_on(profiled, tmp_path, method):
    variables = {
        "cloudpods_kubeconfig": profiled.kubeconfig,
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
            # Its idle goroutines and its listener wait. The goroutine that waits for this response may not wait yet
            # when the response is made.
            assert {"chan receive", "IO wait"} <= {group["state"] for group in parsed["groups"]}
            if method == "auto":
                # After its own signal, not instead of it.
                (stack,) = run.of(instance=row["instance"])
                assert stack["details"]["signal_sent"] < row["started"]


def test_profile_longer_than_a_minute_is_complete_through_the_api_server(long_profile):
    (row,) = [row for row in long_profile.result().rows if row["capture"] == "profile:cpu"]
    assert (row["status"], row["reason"]) == ("complete", "profile_whole"), row["message"]
    assert LONG_SECONDS <= row["details"]["duration"] <= row["duration"]
