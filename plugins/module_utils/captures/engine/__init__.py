# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run captures on many instances; the parts that every collector shares.

Read run.py first: it discovers, plans, fans out, accounts for each owed capture, and looks at the instances again.
job.py holds the rows of one instance. A collector (../stacks, ../status, ../profiles) knows what to ask; nothing here
knows a signal, an endpoint or a profile, and nothing here imports a collector.
"""
