# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log bytes and their timestamps: what every transport and the log watch share when they read a log.

Everything here is pure and sans-I/O: bytes go in, bytes and findings come out; clocks are passed in as numbers.
Nothing here knows Kubernetes, a host, a component or a dump. This package imports nothing but itself.
Start with timestamps.py; then lines.py (cut at line ends), overlap.py (deduplicate), gaps.py (lost parts), lag.py
(delay of a reader), tail.py (the newest bytes), search.py (find a time in a file), runtime_formats.py (CRI, Docker).
"""
