# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation on a machine without protobuf."""

from __future__ import annotations

import sys

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles import pprof_proto
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.validation import (
    validate,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, Status
from pprofs import packed, profile

STACKS = [((1, 10), ("main.a", "main.main"))]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packed(stacks=STACKS), Reason.NOT_READ_HERE),
        (packed(stacks=STACKS)[:-1], Reason.PROFILE_CUT),
        (packed(stacks=STACKS) + b"x", Reason.PROFILE_BAD),
        (b"<html>", Reason.PROFILE_BAD),
        (profile(stacks=STACKS), Reason.PROFILE_UNPROVEN),
    ],
)
def test_without_protobuf_no_profile_is_complete(monkeypatch, data, reason):
    for name in list(pprof_proto._classes):
        monkeypatch.delitem(pprof_proto._classes, name)
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    proof = validate("cpu", data)
    assert (proof.reason, proof.status) == (reason, Status.PARTIAL)
