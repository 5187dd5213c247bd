# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only paths of /debug/pprof that may be requested, and the only body that may be posted."""

from __future__ import annotations

import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import catalog, pprof
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles import symbols
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("kind", "options", "path"),
    [
        ("index", {}, "/debug/pprof/"),
        ("cmdline", {}, "/debug/pprof/cmdline"),
        ("symbol", {}, "/debug/pprof/symbol"),
        ("cpu", {"seconds": 30}, "/debug/pprof/profile?seconds=30"),
        ("trace", {"seconds": 1}, "/debug/pprof/trace?seconds=1"),
        ("goroutine", {}, "/debug/pprof/goroutine"),
        ("goroutine", {"seconds": 5}, "/debug/pprof/goroutine?seconds=5"),
        ("goroutine_debug1", {}, "/debug/pprof/goroutine?debug=1"),
        ("goroutine_debug2", {}, "/debug/pprof/goroutine?debug=2"),
        ("heap", {"gc": True}, "/debug/pprof/heap?gc=1"),
        ("heap", {"seconds": 600, "gc": True}, "/debug/pprof/heap?seconds=600&gc=1"),
        ("block", {}, "/debug/pprof/block"),
    ],
)
def test_each_kind_has_its_path(kind, options, path):
    assert pprof.profile_path(kind, **options) == path
    assert pprof.is_profile_path(path)
    assert not catalog.is_safe_path(path)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("cpu", {}),
        ("trace", {"seconds": 601}),
        ("cpu", {"seconds": -1}),
        ("goroutine_debug2", {"seconds": 5}),
        ("allocs", {"gc": True}),
        ("cmdline", {"seconds": 1}),
        ("index", {"gc": True}),
        ("profile", {}),
        ("../switch", {}),
    ],
)
def test_rejects_parameters_that_a_kind_does_not_take(kind, options):
    with pytest.raises(ValueError, match=r"cannot be requested with|unknown kind"):
        pprof.profile_path(kind, **options)


@given(st.text(alphabet="/debugpprofheapcmdlinetrac?=&1290s.%\n", max_size=12) | st.text(max_size=20))
def test_accepts_only_paths_that_can_be_built(rest):
    if pprof.is_profile_path("/debug/pprof/" + rest):
        assert re.fullmatch(r"[a-z]*(\?[a-z]+=[1-9][0-9]{0,2}(&gc=1)?)?", rest)
        assert rest.partition("?")[0] in {kind.path for kind in pprof.KINDS.values()}


def test_timed_kinds_come_last():
    timed = [kind.timed for kind in pprof.KINDS.values()]
    assert timed == sorted(timed)
    assert len({kind.file for kind in pprof.KINDS.values()}) == len(pprof.KINDS)
    for names in pprof.SETS.values():
        assert set(names) <= set(pprof.KINDS)


def test_batches_are_symbol_requests():
    batches = list(symbols.batches([*range(1, 502), 2**64 - 1]))
    assert len(batches) == 3
    assert all(pprof.is_symbol_request(batch.encode()) for batch in batches)
    assert not pprof.is_symbol_request(f"{batches[0]}+0x1".encode())


@pytest.mark.parametrize(
    "body", [b"", b"0x", b"1", b"0x1+", b"+0x1", b"0x1 0x2", b"0x1\n", b"0xG", b"+".join([b"0x1"] * 201)]
)
def test_rejects_other_symbol_requests(body):
    assert not pprof.is_symbol_request(body)


def test_catalog_has_profiles_of_each_component():
    has = {name: one.http.pprof for name, one in catalog.COMPONENTS.items() if one.http}
    exact = {name for name, what in has.items() if what == catalog.PPROF_EXACT}
    assert exact == {"scheduler", "webconsole", "monitor"}
    assert {name for name, what in has.items() if what == catalog.PPROF_NONE} == {"mcp-server"}
    assert has["region"] == has["host"] == has["glance"] == catalog.PPROF_ALL
    assert has["meter"] == catalog.http_of(catalog.component_of("newone"), [1]).pprof == catalog.PPROF_UNKNOWN
