# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health audits: rules, evaluated on the status documents of a fleet, and the reports of what they find.

Runs on the controller only, so libraries are allowed here (jmespath, yaml). Nothing here collects data or reads the
clock. Only check.py touches the file system. All documents are untrusted.
Start with check.py (from files to reports) and audit.py (from documents to findings). The rules themselves are data,
in roles/audit_health/files/rules; rules.py loads them.
"""
