# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect profiles and goroutines from /debug/pprof.

Start with collector.py. fetch.py makes one request, goroutines.py collects goroutines in addition to a dump. How
profiles are parsed, what they cost, and when a service is too busy for them, is ../../profiles.
"""
