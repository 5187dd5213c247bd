# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import path of the shared parts of these tests: `conformance`, `standins`, `golang` and others."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

for folder in ("transports", "profiles", "redact"):
    sys.path.insert(0, str(Path(__file__).parent / folder))
pytest.register_assert_rewrite("conformance", "conformance_http", "conformance_logs")


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
