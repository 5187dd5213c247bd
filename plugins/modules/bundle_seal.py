#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module bundle_seal: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_seal
short_description: Merge captures into one sealed bundle
version_added: 0.1.0
description:
  - Merges the parts of one or many capturing modules. Writes one ledger, a report for an issue, and a manifest with the
    SHA-256 of every file, and packs everything.
  - If access points are absent or could not list their instances, and there is no other capture, nothing is sealed. The
    folder is removed if it is empty. RV(folder) and RV(archive) are then empty, and RV(table) gives the reason.
  - Sets the custom statistics C(cloudpods_bundle), C(cloudpods_counts) and, if there is a verdict, C(cloudpods_verdict)
    of the play, as M(ansible.builtin.set_stats) does.
  - Parts are untrusted input, because they come from other machines. A part that cannot be used becomes a row of the
    ledger and stays where it is. The other parts are moved into the bundle.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode nothing is sealed, and all returned values are empty.
  diff_mode:
    support: none
options:
  path:
    description:
      - The folder of the bundle. Its name is the ID of the run. It is made private to the user.
    type: path
    required: true
  parts:
    description:
      - Parts of capturing modules such as M(cloudpods.diagnostics.stack_dump), as folders or archives.
    type: list
    elements: path
    default: []
  reports:
    description:
      - Folders of reports that were made on the controller, for example by M(cloudpods.diagnostics.health_check).
      - Only these may put files at the top of the bundle, so that no part can pass for a report.
    type: list
    elements: path
    default: []
    version_added: 0.2.0
  absent:
    description:
      - Access points without a part. Each gets a row in the ledger.
    type: list
    elements: dict
    default: []
    suboptions:
      cluster:
        description: The access point's name.
        type: str
        required: true
      error:
        description: The error.
        type: str
        required: true
      reason:
        description:
          - V(unreachable) if it could not be reached, V(no_result) if the work there failed, for example for a wrong
            option.
        type: str
        choices: [unreachable, no_result]
        default: unreachable
  interrupted:
    description:
      - The run was interrupted. Unfinished files and rows are left out, one row says that captures without a row were
        not made, and C(interrupted) is true in the manifest.
    type: bool
    default: false
    version_added: 0.2.0
  run:
    description:
      - Facts about the run for the manifest and the report, for example the scenario.
    type: dict
    default: {}
  redact:
    description:
      - V(secrets) removes passwords, tokens, keys and other secrets from every file, also if that was done where the
        file was written. A file that cannot be searched is left out, and its row says so.
      - V(identity) does the same, and replaces hosts, addresses, projects, users and instances, their names and IDs, by
        tokens such as C(host-0001) in files, paths and the ledger. The same thing has the same token in the whole
        bundle.
      - V(none) removes nothing. Do not show such a bundle to others.
    type: str
    choices: [secrets, identity, none]
    default: secrets
    version_added: 0.2.0
  identity_map:
    description:
      - The file that maps each token to the name it stands for. It is created if it is missing. Bundles that are sealed
        with the same file have the same tokens for the same things.
      - It must belong to the user, with mode 0600, and be outside of the bundle. Do not show it to others.
      - Required with O(redact=identity), and not used otherwise.
    type: path
    version_added: 0.2.0
  fail_on:
    description:
      - When the run counts as failed. RV(failure) then gives the reason. The bundle is sealed in any case.
      - V(failed) if nothing was captured or a named component does not exist. V(partial) also if a capture is partial
        or failed. V(any) also if a capture was refused. V(none) never.
    type: str
    choices: [none, failed, partial, any]
    default: failed
notes:
  - Files on the controller do not count as a change. RV(ignore:changed) is always false.
seealso:
  - module: cloudpods.diagnostics.bundle_verify
"""

EXAMPLES = r"""
- name: Seal the captures
  cloudpods.diagnostics.bundle_seal:
    path: /var/tmp/20260102T030405Z-deadlock
    parts:
      - /var/tmp/stacks
    run:
      scenario: deadlock
  register: bundle
"""

RETURN = r"""
folder:
  description: The bundle's folder. Empty if nothing was sealed.
  returned: success
  type: str
archive:
  description: The sealed archive beside the folder. Empty if nothing was sealed.
  returned: success
  type: str
counts:
  description: Number of rows of the ledger by status.
  returned: success
  type: dict
  sample: {complete: 12, partial: 0, refused: 1, failed: 0, skipped: 0}
failure:
  description: Why the run counts as failed under O(fail_on), or empty.
  returned: success
  type: str
table:
  description: A table for people with one line for each component, and the archive's path.
  returned: success
  type: list
  elements: str
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import (
    FAIL_ON,
    SealedBundle,
    failure_message,
    seal_bundle,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import count_by_status
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redactor import (
    IDENTITY,
    NONE,
    SECRETS,
    Redactor,
)

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "parts": {"type": "list", "elements": "path", "default": []},
    "reports": {"type": "list", "elements": "path", "default": []},
    "absent": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "cluster": {"type": "str", "required": True},
            "error": {"type": "str", "required": True},
            "reason": {"type": "str", "choices": ["unreachable", "no_result"], "default": "unreachable"},
        },
    },
    "interrupted": {"type": "bool", "default": False},
    "run": {"type": "dict", "default": {}},
    "redact": {"type": "str", "choices": [SECRETS, IDENTITY, NONE], "default": SECRETS},
    "identity_map": {"type": "path"},
    "fail_on": {"type": "str", "choices": list(FAIL_ON), "default": "failed"},
}

# The result in check mode.
NOTHING = {"folder": "", "archive": "", "counts": {}, "failure": "", "table": []}  # type: dict[str, object]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS, supports_check_mode=True, required_if=[("redact", IDENTITY, ["identity_map"])]
    )
    params = module.params
    if module.check_mode:
        module.exit_json(changed=False, **NOTHING)
    try:
        hides = params["redact"] == IDENTITY
        redactor = Redactor(SECRETS if hides else params["redact"])
        given = (params["path"], params["parts"], params["absent"], params["run"], params["reports"])
        identity_map = params["identity_map"] if hides else ""
        sealed = seal_bundle(*given, redactor, identity_map, params["interrupted"])
    except (ValueError, OSError) as error:
        captures = ", ".join([params["path"], *params["parts"]])
        module.fail_json(msg=f"The bundle could not be sealed: {error}. What was captured stays in {captures}")
    module.exit_json(
        changed=False,
        folder=sealed.folder,
        archive=sealed.archive,
        counts=count_by_status(sealed.rows),
        failure=failure_message(sealed.rows, params["fail_on"]),
        table=[*sealed.table, *_where(sealed)],
    )


def _where(sealed: SealedBundle) -> list[str]:
    """Return the last lines of the table."""
    if not sealed.archive:
        return []
    return [*([""] if sealed.table else []), f"bundle: {sealed.archive}"]


if __name__ == "__main__":
    main()
