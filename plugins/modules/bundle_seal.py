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
  - Merges what one or many runs of M(cloudpods.diagnostics.stack_dump) left, writes one ledger, a report to paste into
    an issue, and a manifest with the sha256 of every file, and packs it all.
  - If access points are absent or could not list their instances, as after a mistake in an option, and there is no
    other capture, nothing is sealed, and the folder is removed if it holds nothing else. Then RV(folder) and
    RV(archive) are empty, and RV(table) says why.
  - The custom statistics of the play name the bundle in C(cloudpods_bundle), as with M(ansible.builtin.set_stats);
    beside it are C(cloudpods_counts) and, where there is one, C(cloudpods_verdict).
  - Parts are taken as hostile, since they come from other machines. A part that cannot be used becomes a row of the
    ledger and stays where it is; the others are used up.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode nothing is sealed, and all values of the result are empty.
  diff_mode:
    support: none
options:
  path:
    description:
      - The folder of the bundle; its name is the run's id. It is made private to the user.
    type: path
    required: true
  parts:
    description:
      - Folders or archives that M(cloudpods.diagnostics.stack_dump) left.
    type: list
    elements: path
    default: []
  reports:
    description:
      - Folders of reports that were made on the controller, for example by M(cloudpods.diagnostics.health_check).
      - Only these may hold files at the top of the bundle, so that no part can pass for a report.
    type: list
    elements: path
    default: []
    version_added: 0.2.0
  absent:
    description:
      - The access points that brought nothing, so that each has its row in the ledger.
    type: list
    elements: dict
    default: []
    suboptions:
      cluster:
        description: The access point's name.
        type: str
        required: true
      error:
        description: What went wrong there.
        type: str
        required: true
      reason:
        description: Whether it could not be reached, or the work there failed, for example for a wrong option.
        type: str
        choices: [unreachable, no_result]
        default: unreachable
  interrupted:
    description:
      - Whether the run did not come to its end. Then files and rows that were not finished are left out, a row says
        that what has no row was not captured, and C(interrupted) is true in the manifest.
    type: bool
    default: false
    version_added: 0.2.0
  run:
    description:
      - What the manifest and the report shall say of the run, for example the scenario.
    type: dict
    default: {}
  redact:
    description:
      - V(secrets) takes passwords, tokens, keys and the like out of every file, whatever was done where it was made.
        A file that cannot be looked through is left out, and its row says so.
      - V(identity) does the same, and puts tokens such as C(host-0001) in the place of hosts, addresses, projects,
        users and instances, their names and ids, in files, paths and the ledger. The same thing has the same token in
        the whole bundle.
      - V(none) leaves everything as it is. Such a bundle must not be shown to others.
    type: str
    choices: [secrets, identity, none]
    default: secrets
    version_added: 0.2.0
  identity_map:
    description:
      - The file that tells which token stands for what; it is made when it is missing. Bundles that are sealed with
        the same one have the same tokens for the same things.
      - It must belong to the user, with mode 0600, and lie outside of the bundle. Do not show it to others.
      - Needed with O(redact=identity), and not used otherwise.
    type: path
    version_added: 0.2.0
  fail_on:
    description:
      - When the run counts as failed, which RV(failure) then says. The bundle is sealed all the same.
      - V(failed) when nothing at all was captured, or a component that was named is not there; V(partial) when a dump
        is partial or failed; V(any) when a dump is not complete; V(none) never.
    type: str
    choices: [none, failed, partial, any]
    default: failed
notes:
  - Files on the controller are not counted as a change; RV(ignore:changed) is always false.
seealso:
  - module: cloudpods.diagnostics.bundle_verify
"""

EXAMPLES = r"""
- name: Seal what was captured
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
  description: The bundle's folder; empty where nothing was sealed.
  returned: success
  type: str
archive:
  description: The sealed archive beside the folder; empty where nothing was sealed.
  returned: success
  type: str
counts:
  description: How many rows of the ledger have each status.
  returned: success
  type: dict
  sample: {complete: 12, partial: 0, refused: 1, failed: 0, skipped: 0}
failure:
  description: Why the run counts as failed under O(fail_on); empty when it does not.
  returned: success
  type: str
table:
  description: Per component what became of its captures, as lines for people, and the archive's path.
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
    """Wire options to the work, and its result to Ansible."""
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
    """Return the last lines for people."""
    if not sealed.archive:
        return []
    return [*([""] if sealed.table else []), f"bundle: {sealed.archive}"]


if __name__ == "__main__":
    main()
