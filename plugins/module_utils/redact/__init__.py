# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redaction of secrets, and pseudonyms for identities. Pure: no I/O.

Redaction fails closed: data that cannot be searched raises RedactionError and is not shown. gitleaks.py is generated.
Start with redactor.py for secrets: secret_rules.py finds them by form, secret_fields.py by the name before them.
Start with pseudonymizer.py for identities: identity_finder.py finds the names, pseudonym_table.py numbers them.
"""
