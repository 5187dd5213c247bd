# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules return the keys and types of RETURN on success, on failure and in check mode."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles import pprof_proto
from pprofs import packed

from workspace import ROOT

MODULES = "ansible_collections.cloudpods.diagnostics.plugins.modules."
RULES = str(ROOT / "roles" / "audit_health" / "files" / "rules")
TYPES = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "dict": dict,
    "list": list,
    "path": str,
    "raw": object,
}


def differences(documented: dict[str, Any], result: dict[str, Any], place: str = "") -> list[str]:
    """Return how a result differs from RETURN or a `contains` of it. Null has no type."""
    found = [f"{place}{key}: only in one of them" for key in sorted(set(documented) ^ set(result))]
    for key in sorted(set(documented) & set(result)):
        entry, value = documented[key], result[key]
        if value is None:
            continue
        if not isinstance(value, TYPES[entry["type"]]) or (isinstance(value, bool) and entry["type"] != "bool"):
            found.append(f"{place}{key}: {value!r} is no {entry['type']}")
        elif entry["type"] == "list":
            for item in value:
                if not isinstance(item, TYPES[entry["elements"]]):
                    found.append(f"{place}{key}: {item!r} is no {entry['elements']}")
                elif "contains" in entry:
                    found += differences(entry["contains"], item, f"{place}{key}.")
        elif "contains" in entry:
            found += differences(entry["contains"], value, f"{place}{key}.")
    return found


def returned(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load(importlib.import_module(MODULES + name).RETURN))


# module -> its calls: (description, options, check mode). {dumps}, {sealed}, {status} and {profiles} are made by the
# fixture `folders`; {new} does not exist yet.
CALLS: dict[str, list[tuple[str, dict[str, Any], bool]]] = {
    "preflight": [
        ("plain", {"role": "audit_health", "libraries": ["jmespath", "protobuf"]}, False),
        ("check mode", {"role": "capture_stacks"}, True),
    ],
    "service_info": [
        ("plain", {}, False),
        ("check mode", {"components": ["region", "glance"]}, True),
    ],
    "stack_dump": [
        ("plain", {"output": "{new}", "components": ["region", "scheduler"]}, False),
        ("archive", {"output": "{new}", "archive": True, "count": 2, "interval": 0}, False),
        ("check mode", {"components": ["region", "scheduler", "glance"]}, True),
        ("nothing there", {"output": "{new}", "components": ["glance"]}, False),
    ],
    "status_info": [
        ("plain", {"output": "{new}", "samples": 2, "interval": 0.01, "log_seconds": 60}, False),
        ("check mode", {}, True),
    ],
    "profile_dump": [
        ("plain", {"output": "{new}", "addresses": ["0x401000"]}, False),
        ("archive", {"output": "{new}", "archive": True, "profile_set": "full", "cpu_seconds": 1}, False),
        ("check mode", {"profile_set": "full"}, True),
        ("nothing there", {"output": "{new}", "components": ["glance"]}, False),
    ],
    "log_watch": [
        ("plain", {"output": "{new}", "duration": 0.5, "on_hit": ["capture_stacks"]}, False),
        ("check mode", {"duration": 0.5, "until": "first_hit", "on_hit": ["status"]}, True),
        ("nothing there", {"output": "{new}", "components": ["glance"], "duration": 0.1}, False),
    ],
    "bundle_start": [
        ("plain", {"output": "{new}"}, False),
        ("check mode", {"output": "{new}", "id": "run"}, True),
    ],
    "bundle_seal": [
        ("plain", {"path": "{new}", "parts": ["{dumps}"]}, False),
        ("one is absent", {"path": "{new}", "absent": [{"cluster": "c2", "error": "no route"}]}, False),
        ("interrupted", {"path": "{new}", "parts": ["{dumps}"], "interrupted": True}, False),
    ],
    "bundle_resume": [
        ("plain", {"output": "{runs}", "id": "interrupted"}, False),
        ("check mode", {"output": "{runs}", "id": "interrupted"}, True),
    ],
    "bundle_find": [
        ("nothing there", {"run": "no-run-has-this-name"}, False),
    ],
    "bundle_verify": [
        ("intact", {"path": "{sealed}"}, False),
        ("check mode", {"path": "{sealed}"}, True),
        ("not intact", {"path": "{dumps}", "fail": False}, False),
    ],
    "stack_analysis": [
        ("plain", {"paths": ["{dumps}", "{dumps}/ledger.jsonl"], "max_groups": 1}, False),
        ("check mode", {"paths": ["{dumps}"], "patterns": ["stack-*.txt"]}, True),
        ("nothing there", {"paths": ["{new}"]}, False),
    ],
    "profile_analysis": [
        (
            "plain",
            {"paths": ["{profiles}"], "output": "{new}", "base": "{profiles}/old.pb.gz", "max_functions": 1},
            False,
        ),
        ("check mode", {"paths": ["{profiles}"], "output": "{new}"}, True),
        ("nothing there", {"paths": ["{new}", "{profiles}/ledger.jsonl"]}, False),
    ],
    "health_check": [
        ("plain", {"paths": ["{status}"], "rules": [RULES], "output": "{new}"}, False),
        ("check mode", {"paths": ["{status}"], "rules": [RULES], "output": "{new}"}, True),
        ("one is absent", {"paths": [], "rules": [RULES], "absent": [{"cluster": "c2", "error": "no route"}]}, False),
    ],
}


# Actions that have no module. Tested in test_hostile_node.py and test_flow.py.
ACTIONS = {"bundle_capture", "bundle_fetch", "show_result"}


def test_covers_every_module():
    assert set(CALLS) == {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")} - ACTIONS


@pytest.fixture
def folders(call: Callable[..., Any], tmp_path: Path) -> dict[str, str]:
    """Return the files that modules leave for others."""
    made = {name: str(tmp_path / name) for name in ("new", "dumps", "copy", "sealed", "status", "profiles", "runs")}
    call("stack_dump", output=made["dumps"])
    shutil.copytree(made["dumps"], made["copy"])
    call("bundle_seal", path=made["sealed"], parts=[made["copy"]])
    call("status_info", output=made["status"], samples=2, interval=0.01)
    call("bundle_start", output=made["runs"], id="interrupted")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "old.pb.gz").write_bytes(packed(stacks=[((1, 10), ("main.a", "main.main"))]))
    (tmp_path / "profiles" / "new.pb.gz").write_bytes(packed(stacks=[((3, 30), ("main.b", "main.main"))]))
    (tmp_path / "profiles" / "cut.pb.gz").write_bytes(packed(stacks=[((3, 30), ("main.b",))])[:-9])
    return made


def filled(value: Any, folders: dict[str, str]) -> Any:
    """Return the options with the folders filled in."""
    if isinstance(value, str):
        return value.format_map(folders)
    if isinstance(value, list):
        return [filled(each, folders) for each in value]
    return {key: filled(each, folders) for key, each in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    ("name", "params", "check_mode"),
    [pytest.param(name, *way[1:], id=f"{name}, {way[0]}") for name, ways in CALLS.items() for way in ways],
)
def test_modules_return_what_they_document(call, folders, name, params, check_mode):
    ended = call(name, check_mode, **filled(params, folders))
    assert not ended.failed, ended
    result = dict(ended.result)
    assert isinstance(result.pop("changed"), bool)
    assert differences(returned(name), result) == []
    if check_mode:
        assert not Path(folders["new"]).exists()
        assert ended.result["changed"] is False


def test_failed_verification_returns_documented_keys(call, folders):
    ended = call("bundle_verify", path=folders["dumps"])
    assert ended.failed
    documented = {key: entry for key, entry in returned("bundle_verify").items() if entry["returned"] == "always"}
    assert documented
    result = {key: value for key, value in ended.result.items() if key not in ("msg", "changed")}
    assert differences(documented, result) == []


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("service_info", {"scenario": "slow"}, "unknown scenario 'slow'"),
        ("stack_dump", {"scenario": "slow"}, "unknown scenario 'slow'"),
        ("stack_dump", {"count": 0}, "count is 0. It has to be a whole number from 1 to 1000."),
        ("stack_dump", {"output": "{dumps}"}, "already holds a ledger"),
        ("stack_dump", {"instances": [{"name": "pod"}]}, "an instance lacks cluster, component"),
        ("profile_dump", {"profile_set": "cpu", "cpu_seconds": 90}, "have to be forced"),
        ("profile_dump", {"addresses": ["4a1b2c"]}, "written as 0x4a1b2c"),
        ("profile_dump", {"addresses_of": "{new}"}, "No such file"),
        ("stack_analysis", {"paths": ["{dumps}"], "max_bytes": 0}, "max_bytes more than 0"),
        ("profile_analysis", {"paths": ["{profiles}"], "max_frames": 0}, "max_frames and max_bytes more than 0"),
        ("profile_analysis", {"paths": ["{profiles}"], "base": "{new}"}, "the base"),
        ("bundle_seal", {"path": "{dumps}/ledger.jsonl"}, "could not be sealed"),
        ("bundle_verify", {"path": "{new}"}, "not intact"),
    ],
)
def test_modules_fail_with_a_message(call, folders, name, params, words):
    ended = call(name, **filled(params, folders))
    assert ended.failed
    assert words in ended.result["msg"]


def test_names_missing_library_for_profiles(call, folders, monkeypatch):
    monkeypatch.setattr(pprof_proto, "_classes", {})
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    ended = call("profile_analysis", paths=[folders["profiles"]])
    assert ended.failed
    assert "protobuf" in ended.result["msg"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_changed_is_true_only_if_a_signal_was_sent(call, tmp_path, check_mode):
    refused = call("stack_dump", check_mode, components=["scheduler"], output=str(tmp_path / "a")).result
    sent = call("stack_dump", check_mode, components=["region"], output=str(tmp_path / "b")).result
    assert (refused["changed"], refused["signals"]) == (False, 0)
    assert (sent["changed"], sent["signals"]) == ((False, 0) if check_mode else (True, 1))


DOCUMENTED = {
    "name": {"type": "str"},
    "items": {"type": "list", "elements": "dict", "contains": {"a": {"type": "int"}}},
}


@pytest.mark.parametrize(
    ("result", "count"),
    [
        ({"name": "x", "items": [{"a": 1}]}, 0),
        ({"name": None, "items": []}, 0),
        ({"name": "x"}, 1),
        ({"name": "x", "items": [], "more": 1}, 1),
        ({"name": 5, "items": {}}, 2),
        ({"name": "x", "items": ["a", {"a": "b"}, {}, {"a": True}]}, 4),
    ],
)
def test_comparison_finds_differences(result, count):
    assert len(differences(DOCUMENTED, result)) == count
