# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared documentation of the options for a part of a bundle."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of a part."""

    DOCUMENTATION = r"""
options:
  instances:
    description:
      - The instances to capture, in the form of RV(cloudpods.diagnostics.service_info#module:instances). Without this
        option, the module lists them itself.
    type: list
    elements: dict
    default: []
  output:
    description:
      - The folder for artifacts and ledger. It is made private to the user, and must not contain a ledger yet.
      - The default is a new temporary folder with a name that begins with C(cloudpods-). The caller removes it.
      - If the module is interrupted (SIGINT, SIGTERM, SIGHUP, or a closed standard output), it ends soon. The captures
        so far stay in the folder, and the ledger has rows for those that are missing.
    type: path
  run:
    description:
      - The name of the run of the captures. It is part of the name of a temporary folder, so that the playbook
        C(cloudpods.diagnostics.seal_bundle) finds the captures of an interrupted run.
    type: str
    default: ""
    version_added: 0.2.0
  redact:
    description:
      - V(secrets) replaces passwords, tokens, keys and other secrets by C([redacted:RULE]) in everything that is
        written or returned. An artifact that cannot be searched is not kept, and its row says so.
      - V(none) removes only the credentials of the run itself. Do not show such captures to others.
    type: str
    choices: [secrets, none]
    default: secrets
    version_added: 0.2.0
  archive:
    description:
      - Pack the folder into one archive beside it and remove the folder, so that one transfer fetches everything.
    type: bool
    default: false
"""
