# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows and manifest match the published schemas."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import seal_bundle
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import MEANINGS, Reason, verdict

SCHEMAS = Path(__file__).parents[5] / "docs" / "schemas"


def schema(name: str):
    document = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


@pytest.fixture
def bundle(tmp_path):
    store = Store(str(tmp_path / "part"))
    instance = Instance(cluster="c", component="region", name="p")
    artifact = store.keep(["c", "region", "p"], "stack-1.txt", b"x")
    store.record([row(instance, "stack", verdict(reason), artifact=artifact) for reason in Reason])
    absent = [{"cluster": "d", "error": "no such option", "reason": "no_result"}]
    return Path(seal_bundle(str(tmp_path / "run"), [str(tmp_path / "part")], absent, {"id": "run"}).folder)


def test_rows_match_the_schema(bundle):
    lines = (bundle / "ledger.jsonl").read_text().splitlines()
    assert len(lines) == len(Reason) + 1
    for line in lines:
        schema("ledger-row").validate(json.loads(line))


def test_manifest_matches_the_schema(bundle):
    schema("manifest").validate(json.loads((bundle / "manifest.json").read_text()))


@pytest.mark.parametrize("change", [{"status": "ok"}, {"sequence": 0}, {"extra": 1}, {"sha256": "zz"}])
def test_row_schema_refuses_other_documents(change):
    good = row(Instance(cluster="c", component="r", name="p"), "stack", verdict(Reason.PROVEN)).as_dict()
    schema("ledger-row").validate(good)
    with pytest.raises(jsonschema.ValidationError):
        schema("ledger-row").validate(dict(good, **change))


def test_every_reason_has_a_text_and_a_next_step():
    assert set(MEANINGS) == set(Reason)
    silent = {Reason.PROVEN, Reason.RECORDED, Reason.SAME_IMAGE, Reason.PROFILE_WHOLE, Reason.PROFILE_EMPTY}
    by_nature = {Reason.NEVER_DUMPS, Reason.RELOADS, Reason.MAY_DIE}  # the catalog says what to use instead
    skipped = {Reason.NOT_DEPLOYED, Reason.CHECK_MODE, Reason.STACK_NOT_TAKEN, Reason.NOT_OFFERED}
    without = {reason for reason, meaning in MEANINGS.items() if not meaning.next_step}
    assert without == silent | by_nature | skipped
