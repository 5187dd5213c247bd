# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many examples hypothesis tries: its own default, or many with HYPOTHESIS_PROFILE=fuzz (`make fuzz`)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

DEFAULT_EXAMPLES, FUZZ_EXAMPLES = 100, 2000


def load_profile() -> None:
    """Register the profiles and load that of the environment variable HYPOTHESIS_PROFILE."""
    # On a busy machine an example may take long, and is right all the same.
    settings.register_profile("patient", deadline=None)
    settings.register_profile(
        "fuzz", deadline=None, max_examples=FUZZ_EXAMPLES, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "patient")


def examples(count: int) -> int:
    """Return the number of examples for a test that tries `count` by default; in proportion more in other profiles."""
    return max(1, count * (settings().max_examples or DEFAULT_EXAMPLES) // DEFAULT_EXAMPLES)
