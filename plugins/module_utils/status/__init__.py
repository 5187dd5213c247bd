# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents about the status of one instance: HTTP responses, rates, certificate, log keywords. Pure: no I/O.

Responses are untrusted: no input raises anything but a documented error. Collecting is the task of captures/status, and
judging the task of health. Start with responses.py (one response), then rates.py (between two samples).
"""
