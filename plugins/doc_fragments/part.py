# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that modules share: of what to make a part of a bundle, and where to leave it."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of a part."""

    DOCUMENTATION = r"""
options:
  instances:
    description:
      - Exactly these instances, as RV(cloudpods.diagnostics.service_info#module:instances) has them, instead of looking
        for them.
    type: list
    elements: dict
    default: []
  output:
    description:
      - The folder for artifacts and ledger, made private to the user. It must not hold a ledger yet.
      - The default is a new temporary folder, which is the caller's to remove. Its name begins with C(cloudpods-).
      - If the module is interrupted (SIGINT, SIGTERM, SIGHUP, or nobody waits for its result any more), it ends soon,
        and what was captured until then stays there. The rows that are there say what was not captured.
    type: path
  run:
    description:
      - The name of the run that the captures belong to. The name of a temporary folder has it after C(cloudpods-), so
        that the playbook C(cloudpods.diagnostics.seal_bundle) finds what an interrupted run has left.
    type: str
    default: ""
    version_added: 0.2.0
  redact:
    description:
      - V(secrets) takes passwords, tokens, keys and the like out of everything before it is written or returned, and
        puts C([redacted:RULE]) in their place. An artifact that cannot be looked through is not kept, and its row says
        so.
      - V(none) leaves everything as it is but the credentials of the run itself. Do not show it to others.
    type: str
    choices: [secrets, none]
    default: secrets
    version_added: 0.2.0
  archive:
    description:
      - Pack the folder into one file beside it, for one transfer, and remove the folder.
    type: bool
    default: false
"""
