# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text form of the Go runtime: debug=2 profiles, panics and fatal errors, debug.Stack.

scanner.py finds goroutines in a text and tells dumps apart, goroutine.py reads one of them, builder.py groups them.
fast_path.py reads large regions with the same result. No I/O. Start with goroutine.py, which shows the form.
"""
