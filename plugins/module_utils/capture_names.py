# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of captures, as the field `capture` of ledger rows has them. Data."""

from __future__ import annotations

# Rows about an access point, about a whole run, and about the search for instances.
ACCESS = "access"
DISCOVERY = "discovery"

# Goroutine dump that answers a signal, goroutine dump from /debug/pprof, output of the binary's option -v.
STACK = "stack"
STACK_PPROF = "stack:pprof"
VERSION = "version"

# Certificate of a service, and keywords in its log.
CERTIFICATE = "certificate"
LOG = "log"

# Prefixes that an endpoint ("status:stats") or a kind of profile ("profile:cpu") follows.
STATUS_PREFIX = "status:"
PROFILE_PREFIX = "profile:"

# Watched log, and captures that a log hit starts.
LOG_WATCH = "log_watch"
ON_HIT = "on_hit"
