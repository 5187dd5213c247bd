# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture diagnostics from running services.

One package a collector (stacks/, status/, profiles/), the engine that runs them (engine/), and the watching of logs
(logs/), which can start the others. Everything reaches a service through transports/base.py and nothing else; what
captured bytes mean is decided in the pure packages of the same names beside this one. Start with engine/run.py.
"""
