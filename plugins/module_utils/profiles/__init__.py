# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers of Go profiles (pprof): validation, tables, flame graphs and differences.

validation.py decides whether an answer of /debug/pprof is complete; pprof_reader.py parses it; top.py, call_tree.py,
diff.py and report.py show it. Only analysis.py writes files and profile_inputs.py reads them. Nothing here asks
services: captures/ does. Only pprof_proto.py needs protobuf, which a node may lack. Start with report.py.
"""
