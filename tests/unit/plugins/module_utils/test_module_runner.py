# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module ends, whatever its work does."""

from __future__ import annotations

import json
import os
import shlex
import signal
import tempfile
from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.part import new_part
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import seal_bundle
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import (
    Instance,
    Workload,
    row,
    utc_now,
    utc_text,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.module_runner import (
    CaptureInterrupted,
    run_with_progress,
    targets_of,
    write_part,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redactor import RedactionError, Redactor
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import Discovery, SetupError
from fake_transport import FakeTransport

from patience import patience, wait_until


class Failed(Exception):
    """The module failed, with these keys."""


class Module:
    """As much of an AnsibleModule as is needed."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {"redact": "secrets"}
        self.no_log_values: set[str] = set()
        self.check_mode = False

    def fail_json(self, **keys: Any) -> None:
        raise Failed(keys)


def test_result_that_cannot_be_redacted_keeps_its_path(monkeypatch):
    def fails(*_arguments: object) -> bytes:
        raise RedactionError("no memory")

    monkeypatch.setattr(Redactor, "data", fails)
    with pytest.raises(Failed) as failed:
        run_with_progress(Module(), lambda *_given: {"output": "/captures", "archive": "", "rows": ["secret"]}, 1)
    (keys,) = failed.value.args
    assert "no memory" in keys.pop("msg")
    assert keys == {"output": "/captures", "archive": ""}


def test_failure_after_a_capture_names_its_folder(tmp_path):
    part = tmp_path / "part"
    params = {"output": str(part), "archive": False, "run": ""}

    def fails(_store: Any) -> Any:
        raise OSError("no room")

    def fails_late(store: Any) -> Any:
        store.record([row(Instance("c", "region", "r"), "stack", verdict(Reason.PROVEN))])
        fails(store)

    with pytest.raises(OSError, match=r"^no room$"):
        write_part(params, Deadline(patience()), fails)
    assert not part.exists()
    with pytest.raises(OSError, match=f"^no room; what was captured until then stays in {part}$"):
        write_part(params, Deadline(patience()), fails_late)
    assert (part / "ledger.jsonl").exists()


def test_failure_before_a_capture_leaves_the_folder_as_it_was(tmp_path):
    def fails(_store: Any) -> Any:
        raise ValueError("a wrong option")

    params = {"output": str(tmp_path), "archive": False, "run": ""}
    with pytest.raises(ValueError, match=r"^a wrong option$"):
        write_part(params, Deadline(patience()), fails)
    assert list(tmp_path.iterdir()) == []


def interrupted(work, tmp_path, monkeypatch, run=""):
    """What write_part() raises where the work sends this process a signal."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    params = {"output": None, "archive": True, "run": run}
    with pytest.raises(CaptureInterrupted) as raised:
        write_part(params, Deadline(patience(600)), work)
    return raised.value


def cut_short(store: Any, deadline: Deadline) -> None:
    """What a capture does that is interrupted after its first dump."""
    done = row(Instance("c", "region", "r-1"), "stack", verdict(Reason.PROVEN), started="2026-01-02T03:04:05.000Z")
    store.record([done])
    os.kill(os.getpid(), signal.SIGTERM)
    wait_until("the end of the deadline", lambda: deadline.expired)
    late = row(Instance("c", "region", "r-2"), "stack", verdict(Reason.RUN_DEADLINE), started=utc_text(utc_now()))
    store.record([late])
    store.finish(store.rows)


def test_interrupted_capture_is_kept_in_a_folder_of_its_run(tmp_path, monkeypatch):
    deadline = Deadline(patience(600))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    params = {"output": None, "archive": True, "run": "run-7"}
    with pytest.raises(
        CaptureInterrupted, match=r"^Interrupted by SIGTERM: what was captured until then is in "
    ) as raised:
        write_part(params, deadline, lambda store: cut_short(store, deadline))
    (folder,) = tmp_path.iterdir()
    assert (str(folder), folder.name.startswith("cloudpods-run-7-")) == (raised.value.folder, True)
    ledger = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    assert [(entry["instance"], entry["status"], entry["reason"]) for entry in ledger] == [
        ("r-1", "complete", "proven"),
        ("r-2", "failed", "interrupted"),
        ("", "failed", "interrupted"),
    ]
    assert {entry["cluster"] for entry in ledger} == {"c"}
    assert "SIGTERM" in ledger[-1]["message"]


def test_interruption_before_any_capture_leaves_nothing(tmp_path, monkeypatch):
    error = interrupted(lambda _store: os.kill(os.getpid(), signal.SIGINT), tmp_path, monkeypatch)
    assert (str(error), error.folder) == ("Interrupted by SIGINT, before anything was captured.", "")
    assert list(tmp_path.iterdir()) == []


def test_command_in_the_message_seals_the_captures(tmp_path):
    """The command runs as it is: its options make a bundle of the folder."""
    part = new_part(str(tmp_path / "part of it"), archive=False)
    part.record([row(Instance("c", "region", "r-1"), "stack", verdict(Reason.PROVEN))])

    def cut_off(*_given: Any) -> Any:
        raise CaptureInterrupted("Interrupted", part.root)

    with pytest.raises(Failed) as failed:
        run_with_progress(Module(), cut_off, 1)
    (keys,) = failed.value.args
    assert (keys["output"], keys["archive"]) == (part.root, "")
    words = shlex.split(keys["msg"].partition(" Next: ")[2])
    assert words[:4] == ["ansible", "localhost", "-m", "cloudpods.diagnostics.bundle_seal"]
    options = json.loads(words[-1])
    made = seal_bundle(options["path"], options["parts"], [], {}, interrupted=options["interrupted"])
    assert [entry.instance for entry in made.rows] == ["r-1", ""]


# Names of components that there are not


def targets(transport, *components):
    params = {"instances": []}
    return targets_of(params, transport, select(components=components), Deadline(patience()))


def forbids(_selection, _deadline):
    return Discovery(problems=[("onecloud", verdict(Reason.FORBIDDEN))])


def test_unknown_component_is_an_error_with_the_nearest_names():
    transport = FakeTransport()
    transport.add("region")
    with pytest.raises(ValueError, match=r"^there is no component 'identiy'; did you mean identity \(keystone\)\?$"):
        targets(transport, "identiy")


@pytest.mark.parametrize("others", [["region"], ["glance"], ["region", "glance"]])
def test_misspelt_component_beside_a_known_one_is_no_error(others):
    transport = FakeTransport()
    transport.add("region")
    found = targets(transport, "regoin", *others)
    assert found.unknown == ("regoin",)


def test_known_component_that_is_not_deployed_is_no_error():
    assert targets(FakeTransport(), "glance", "compute").instances == []


def test_accepts_an_unknown_component_with_labelled_pods():
    transport = FakeTransport()
    transport.add("newone")
    assert [one.component for one in targets(transport, "newone").instances] == ["newone"]


@pytest.mark.parametrize("listing", [[], CaptureError(Reason.FORBIDDEN)], ids=["none", "forbidden"])
def test_accepts_an_unknown_component_with_a_workload(listing):
    transport = FakeTransport()
    transport.deployed = [Workload("c1", "onecloud", "Deployment", "default-newone", "newone", 0, 0)]
    assert targets(transport, "newone").instances == []
    transport.deployed = listing
    with pytest.raises(ValueError, match="no component 'newone'"):
        targets(transport, "newone")


def test_accepts_unknown_names_if_a_place_was_not_seen(monkeypatch):
    transport = FakeTransport()
    monkeypatch.setattr(transport, "discover", forbids)
    assert len(targets(transport, "identiy").problems) == 1


def test_missing_catalog_entry_is_no_unseen_place(monkeypatch):
    transport = FakeTransport()
    lacks = Discovery(problems=[("region0", verdict(Reason.NO_CATALOG_ENTRY, "identiy"))])
    monkeypatch.setattr(transport, "discover", lambda _selection, _deadline: lacks)
    with pytest.raises(ValueError, match="did you mean identity"):
        targets(transport, "identiy")


class EmptyPlace(FakeTransport):
    """A place without any instance; nothing: what it says of that."""

    nothing = "Nothing runs in the namespace x."

    def why_empty(self, _deadline: Deadline) -> str:
        if isinstance(self.nothing, Exception):
            raise self.nothing
        return self.nothing


@pytest.mark.parametrize("names", [["region"], ["regoin"]])
def test_empty_place_is_reported_instead_of_missing_components(names):
    params = {"instances": []}
    with pytest.raises(SetupError, match=r"^Nothing runs in the namespace x\.$"):
        targets_of(params, EmptyPlace(), select(components=names), Deadline(patience()))


@pytest.mark.parametrize("nothing", ["", CaptureError(Reason.FORBIDDEN)])
def test_place_that_may_be_right_is_not_empty(nothing):
    transport = EmptyPlace()
    transport.nothing = nothing
    assert targets_of({"instances": []}, transport, select(components=["region"]), Deadline(patience())).instances == []


def test_place_with_an_instance_is_not_checked():
    transport = EmptyPlace()
    transport.add("region")
    found = targets_of({"instances": []}, transport, select(components=["region"]), Deadline(patience()))
    assert [one.component for one in found.instances] == ["region"]
