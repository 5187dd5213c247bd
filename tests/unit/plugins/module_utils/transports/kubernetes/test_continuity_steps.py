# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of LogContinuity as requests."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.continuity_steps import (
    OpenStream,
)

POD = Instance("c1", "region", "region-a", "cloud")


@pytest.mark.parametrize(
    ("since", "previous", "query"),
    [
        ("", False, {"follow": "true"}),
        ("2026-01-02T03:04:05Z", False, {"follow": "true", "sinceTime": "2026-01-02T03:04:05Z"}),
        ("", True, {"previous": "true"}),
        ("2026-01-02T03:04:05Z", True, {"previous": "true", "sinceTime": "2026-01-02T03:04:05Z"}),
    ],
)
def test_only_log_of_current_container_is_followed(since, previous, query):
    assert OpenStream(POD, since, 15.0, 60.0, previous).query == query
