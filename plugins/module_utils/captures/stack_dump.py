# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the collectors of a stack dump by its method."""

from __future__ import annotations

from typing import Any

from ..capture_options import StackOptions
from ..transports.base import Transport
from .engine.collector import Collector
from .profiles.goroutines import GoroutineCollector
from .stacks.collector import StackCollector


def stack_collectors(transport: Transport, options: StackOptions) -> list[Collector[Any]]:
    """Return the collectors in the order in which they run: goroutines never delay a signal."""
    collectors: list[Collector[Any]] = []
    if options.method != "pprof":
        collectors.append(StackCollector(transport, options))
    if options.method != "signal":
        collectors.append(GoroutineCollector(transport, options))
    return collectors
