# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Goroutine profiles with debug=1: blocks of goroutines with one stack each.

grammar.py and assembler.py reassemble a dump that log entries interrupt, blocks.py proves it complete.
live_reader.py and reader.py read a live log, text_reader.py reads stored text, grouping.py converts to the model.
No I/O, and nothing of the other forms. Start with blocks.py, which shows the form.
"""
