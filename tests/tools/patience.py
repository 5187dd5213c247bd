# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a test or the lab waits for an event before it gives up.

A limit only ends a wait whose event never comes, so it is generous. The environment variable TEST_PATIENCE multiplies
every limit: TEST_PATIENCE=3 for a very slow machine, TEST_PATIENCE=0.2 to see a hang sooner.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

DEFAULT_SECONDS = 60.0
POLL_SECONDS = 0.01
T = TypeVar("T")


def patience(seconds: float = DEFAULT_SECONDS) -> float:
    """Return the limit in seconds for a wait that takes less than `seconds` on a busy machine."""
    return seconds * float(os.environ.get("TEST_PATIENCE", "1"))


def poll(probe: Callable[[], T | None], seconds: float, poll_seconds: float = POLL_SECONDS) -> T | None:
    """Call `probe` until it returns something true, and return that; None when `seconds` have passed."""
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            return None
        time.sleep(poll_seconds)  # a probe is no event that could be waited for


def wait_until(what: str, probe: Callable[[], T | None], seconds: float = DEFAULT_SECONDS) -> T:
    """Poll `probe` until it returns something true, and return that. After `patience(seconds)` fail, naming `what`."""
    limit = patience(seconds)
    found = poll(probe, limit)
    if found is None:
        raise AssertionError(f"{what}: not within {limit:g} s")
    return found
