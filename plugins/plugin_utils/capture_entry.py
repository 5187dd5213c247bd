# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Result of one capture at one access point, or the reason why it has none. Pure; module results are untrusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.sanitize import printable
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import Reason

# If a module does not start, Ansible puts the message of the interpreter or shell into these keys.
_SEE_ELSEWHERE = ("module_stderr", "module_stdout")
_LONGEST = 2000


@dataclass(frozen=True)
class MissedCapture:
    """Reason why an access point has no capture. reason: a value of Reason."""

    error: str
    reason: str


def error_of(result: Mapping[str, Any]) -> MissedCapture | None:
    """Return the error of a failed result, or None."""
    if not result.get("failed") and not result.get("unreachable"):
        return None
    words = str(result.get("msg") or "It failed without a message.")
    output = next((str(result[key]).strip() for key in _SEE_ELSEWHERE if str(result.get(key) or "").strip()), "")
    if output:
        words = f"{words.rstrip('.')}: {output.splitlines()[-1]}"
    text = printable(" ".join(words.split()))[:_LONGEST]
    reason = Reason.UNREACHABLE if result.get("unreachable") else Reason.NO_RESULT
    return MissedCapture(text, reason.value)


def capture_entry(
    about: Mapping[str, str], brought: str, missed: MissedCapture | None, result: Mapping[str, Any], shows_table: bool
) -> dict[str, Any]:
    """Return the entry of one capture, as bundle_capture documents it.

    about: its run, host and cluster.
    """
    would = result.get("would")
    entries = [each for each in would if isinstance(each, Mapping)] if isinstance(would, list) else []
    possible = sum(1 for each in entries if each.get("reason") == Reason.CHECK_MODE.value)
    table = (result.get("plan") or result.get("table")) if shows_table else []
    return {
        **about,
        "brought": [brought] if brought else [],
        "missed": [{"cluster": about["cluster"], **asdict(missed)}] if missed else [],
        "verdict": printable(str(result.get("verdict") or "")),
        "table": [printable(str(line)) for line in table] if isinstance(table, list) else [],
        "would": possible if entries else _number(result.get("found")),
        "said": printable(str(entries[0].get("message") or "")) if entries else "",
    }


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
