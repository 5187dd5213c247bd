# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A nested run leaves its artifacts and rows in the store of the run around it."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.nested_store import NestedStore, final_rows
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict

INSTANCE = Instance("c1", "region", "region-1")


def test_moves_paths_and_sequence_numbers(tmp_path):
    outer = Store(str(tmp_path))
    nested = NestedStore(outer, 2)
    artifact = nested.keep(INSTANCE.folders, "stack-1.txt", b"x")
    nested.record([row(INSTANCE, "stack", verdict(Reason.PROVEN), artifact=artifact)])
    assert artifact.path == "c1/region/region-1/hit-2/stack-1.txt"
    assert (tmp_path / artifact.path).read_bytes() == b"x"
    assert [(entry.capture, entry.sequence) for entry in outer.rows] == [("stack", 2)]
    assert [entry.sequence for entry in nested.rows] == [1]


def test_final_rows_replace_those_that_were_recorded(tmp_path):
    outer = Store(str(tmp_path))
    own = row(INSTANCE, "log_watch", verdict(Reason.RECORDED))
    outer.record([own])
    nested = NestedStore(outer, 1)
    stack = row(INSTANCE, "stack", verdict(Reason.PROVEN))
    nested.record([stack])
    nested.finish([replace(stack, message="final")])
    assert [entry.message for entry in final_rows(outer.rows, [nested])] == [own.message, "final"]


def test_rows_of_a_nested_run_that_did_not_finish_stay(tmp_path):
    outer = Store(str(tmp_path))
    nested = NestedStore(outer, 1)
    nested.record([row(INSTANCE, "stack", verdict(Reason.PROVEN))])
    assert final_rows(outer.rows, [nested]) == outer.rows
