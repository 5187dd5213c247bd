# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions that undo changes to a dump: wrappings by log tools, and damage by copying.

Each takes a SourceText and returns a changed one, or None if nothing shows that change. Line numbers stay those of
the input. Parsing of dumps does not belong here. Start with source_text.py; ../parse.py has the order of the changes.
"""
