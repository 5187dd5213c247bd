# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect goroutine dumps that answer SIGUSR1, and versions of the binaries.

Start with collector.py: one dump of one instance. rounds.py orders several dumps, live_dump.py reads one out of a log,
signal_policy.py decides whether a process may be signalled. How a dump is parsed is ../../stacks.
"""
