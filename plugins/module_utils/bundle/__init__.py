# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundle of a run: artifacts, ledger, parts of access points, merging, redaction, sealing, verification, reports.

Parts from other machines are untrusted input. Only this package writes the files of a bundle, and all of them are
private and redacted. It knows no transport and no collector: captures leave their artifacts and rows in a Store.
Start with store.py (one module call), then seal.py (from parts to the sealed bundle); issue_report.py writes issue.md.
"""
