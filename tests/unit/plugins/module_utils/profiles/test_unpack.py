# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpack gzip members of profiles within limits."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.validation import (
    validate,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, Status
from pprofs import packed, profile

STACKS = [((1, 10), ("main.a", "main.main"))]


def test_reads_members_as_one_stream():
    data = profile(stacks=STACKS)
    several = b"".join(gzip.compress(data[place : place + 7], mtime=0) for place in range(0, len(data), 7))
    for padding in (b"", bytes(512)):
        assert validate("cpu", several + padding).details == validate("cpu", packed(stacks=STACKS)).details
        assert validate("cpu", several + padding).reason is Reason.PROFILE_WHOLE
    assert {validate("cpu", several[:length]).status for length in range(len(several) - 40, len(several))} == {
        Status.PARTIAL
    }


@pytest.mark.parametrize("limit", [1 << 10, 1 << 20])
def test_unpacks_bomb_only_to_the_limit(limit):
    bomb = gzip.compress(bytes(200 << 20), 1)
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    proof = validate("heap", bomb, ProfileLimits(content=limit))
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    assert (proof.reason, proof.status) == (Reason.PROFILE_TOO_LARGE, Status.PARTIAL)
    assert f"more than {limit}" in proof.message
