# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport to the instances on this machine, without an API server.

transport.py finds them in /proc; session.py signals them. Logs come from log_files.py, prefixed_log_files.py or
journal.py, and follow.py follows them. Processes and their files are untrusted: trust.py decides which process is a
service, safe_open.py opens files with the rights of a process (rights.py), guarded_reads.py bounds reads that hang.
Standard library only, Python >= 3.7, Linux only. Start with transport.py.
"""
