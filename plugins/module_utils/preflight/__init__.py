# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of the user's variables, and of required libraries, before any capture. Runs on the controller only.

Messages are complete sentences for users, and name variables as the user wrote them. Only the existence of files that
variables name is checked; nothing else is read. Start with variables.py (all variables as data), then validation.py.
"""
