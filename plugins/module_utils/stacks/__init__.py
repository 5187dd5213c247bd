# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsers of goroutine dumps, in any form and wrapped in any log format.

Pure: bytes in, model.Dump out. Only analysis.py opens files, and nothing here captures dumps or talks to targets.
debug1/ has the form that services write at SIGUSR1, debug2/ the text form of the Go runtime, unwrap/ undoes what log
tools and copying did to a dump. Start with parse.py (stored text) or debug1/live_reader.py (a dump being written).
"""
