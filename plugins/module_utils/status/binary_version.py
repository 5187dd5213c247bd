# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse what a Cloudpods binary prints for -v. Pure."""

from __future__ import annotations

import json

from ..reasons import CaptureError, Reason
from ..sanitize import clean

# Services print about ten short values.
MAX_VALUES = 30


def parse_version(raw: bytes) -> dict[str, str]:
    """Return the JSON object after the text line: gitVersion, gitBranch, gitCommit, buildDate, goVersion, … (strings).

    Source: yunion.io/x/pkg/util/version, printed by every service as "Yunion cloud version:" and indented JSON.
    CaptureError(no_version) if there is no such object.
    """
    start = raw.find(b"{")
    try:
        document = json.loads(raw[start:].decode("utf-8")) if start >= 0 else None
        values = document if isinstance(document, dict) else {}
        version = {clean(key): clean(str(value)) for key, value in values.items()}
    except (ValueError, RecursionError) as error:
        raise CaptureError(Reason.NO_VERSION, "its output is not JSON after the first line") from error
    if not version or len(version) > MAX_VALUES:
        shown = raw[:80].decode("utf-8", "replace").strip()
        raise CaptureError(Reason.NO_VERSION, f"it printed {shown!r}" if shown else "it printed nothing")
    return version
