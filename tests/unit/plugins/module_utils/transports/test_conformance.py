# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conformance suite against the host transport (real processes) and against the fake transport."""

from __future__ import annotations

import pytest
from conformance import *  # noqa: F403  # pylint: disable=wildcard-import,unused-wildcard-import
from conformance_logs import *  # noqa: F403  # pylint: disable=wildcard-import,unused-wildcard-import
from worlds import HOST, IN_CONTAINERS, IN_JOURNAL, IN_MEMORY


@pytest.fixture(params=[HOST, IN_CONTAINERS, IN_JOURNAL, IN_MEMORY])
def world(request, tmp_path):
    world = request.param(tmp_path)
    yield world
    world.close()
