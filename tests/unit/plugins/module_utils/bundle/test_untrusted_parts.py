# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts with a malformed ledger or malformed documents: reported, and the other parts are sealed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import seal_bundle
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict

ROW = row(Instance("c", "region", "p"), "stack", verdict(Reason.PROVEN)).as_dict()
FRAMES = {"functions": ["main.wait"], "locations": ["/src/main.go:1"]}


def part(folder: Path, lines: list[str], documents: dict[str, str]) -> str:
    folder.mkdir()
    (folder / "ledger.jsonl").write_text("".join(f"{line}\n" for line in lines))
    for name, text in documents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return str(folder)


def good(folder: Path) -> str:
    store = Store(str(folder))
    artifact = store.keep(["good"], "stack-1.txt", b"x")
    store.record([row(Instance("good", "region", "p"), "stack", verdict(Reason.PROVEN), artifact=artifact)])
    return str(folder)


def with_details(**details) -> str:
    return json.dumps({**ROW, "details": details})


LINES = {
    "a total of text": with_details(total="many"),
    "an endless total": with_details(total=float("inf")),
    "goroutines of text": with_details(goroutines=[1]),
    "a version of text": with_details(version="v1"),
    "a version with more than text": with_details(version={"gitCommit": 5}),
    "a document outside": with_details(parsed="../../secret.json"),
    "an absolute document": with_details(parsed="/etc/secret.json"),
    "an artifact outside": json.dumps({**ROW, "path": "../secret"}),
    "an artifact with markup": json.dumps({**ROW, "path": "a`\n# b"}),
    "nested": '{"a":' * 100_000,
    "no JSON": "row",
    "no row": "[]",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_malformed_row_spoils_only_its_part(tmp_path, line):
    parts = [part(tmp_path / "bad", [line], {}), good(tmp_path / "good")]
    sealed = seal_bundle(str(tmp_path / "run"), parts, [], {})
    assert [(entry.cluster, entry.reason) for entry in sealed.rows] == [("bad", "error"), ("good", "proven")]
    assert (tmp_path / "bad").exists()


DOCUMENTS = {
    "nested": '{"a":' * 100_000,
    "no JSON": "{",
    "a list": "[]",
    "groups of text": '{"groups": "many"}',
    "no groups": '{"groups": [5, {}, {"count": "x"}, null]}',
    "frames of numbers": json.dumps({"groups": [{"count": 1, "functions": [1], "locations": [2]}]}),
    "a state that is none": json.dumps({"groups": [{"count": 1, "state": ["a"], **FRAMES}]}),
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_leaves_malformed_document_out_of_the_report(tmp_path, document):
    whole = json.dumps({"groups": [{"count": 7, "state": None, **FRAMES}]})
    lines = [with_details(parsed=name, total=7, goroutines=7) for name in ("c/bad.json", "c/good.json")]
    made = part(tmp_path / "part", lines, {"c/bad.json": document, "c/good.json": whole})
    sealed = seal_bundle(str(tmp_path / "run"), [made], [], {})
    assert len(sealed.rows) == 2
    assert "7 goroutines in 1 dump\n" in (tmp_path / "run" / "issue.md").read_text().replace("one dump", "1 dump")
