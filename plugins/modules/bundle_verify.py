#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module bundle_verify: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_verify
short_description: Check a sealed bundle, offline
version_added: 0.1.0
description:
  - Compares every file of a bundle with its manifest, and every row of the ledger with its artifact.
  - Names each file that is missing, was added or changed.
  - Needs nothing but the bundle. It proves that nothing changed since the manifest was written, not who wrote it.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
  - cloudpods.diagnostics.attributes.info_module
options:
  path:
    description:
      - The bundle's archive, or its folder. The archive may have been packed anew in another form, as zip.
    type: path
    required: true
  fail:
    description:
      - Whether the module fails when the bundle is not intact.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Make sure that the bundle is as it was sealed
  cloudpods.diagnostics.bundle_verify:
    path: /var/tmp/20260102T030405Z-deadlock.tar.gz
"""

RETURN = r"""
intact:
  description: Whether every file is as the manifest has it, and nothing else is there.
  returned: always
  type: bool
files:
  description: How many files there are, without the manifest.
  returned: always
  type: int
missing:
  description: Files of the manifest that are not there.
  returned: always
  type: list
  elements: str
added:
  description: Files that the manifest does not have.
  returned: always
  type: list
  elements: str
changed_files:
  description: Files whose size or sha256 is not the manifest's.
  returned: always
  type: list
  elements: str
redaction:
  description:
    - What the manifest says of the redaction of the bundle.
  returned: always
  type: dict
  version_added: 0.2.0
  contains:
    level:
      description: V(secrets), V(identity) or V(none); empty for a bundle of a release that did not redact.
      type: str
    replaced:
      description: How often each rule has replaced a secret, and a token something of each kind.
      type: dict
      sample: {password: 3, jwt: 1}
problems:
  description: What else is wrong, for example a bundle that cannot be read.
  returned: always
  type: list
  elements: str
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import verify

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "fail": {"type": "bool", "default": True},
}


def main() -> None:
    """Wire options to the work, and its result to Ansible."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    found = verify(module.params["path"])
    result = {
        "changed": False,
        "intact": found.intact,
        "files": found.files,
        "missing": found.missing,
        "added": found.added,
        "changed_files": found.changed,
        "problems": found.problems,
        "redaction": {"level": found.level, "replaced": found.replaced},
    }
    if module.params["fail"] and not found.intact:
        named = found.problems + [f"missing: {name}" for name in found.missing]
        named += [f"added: {name}" for name in found.added] + [f"changed: {name}" for name in found.changed]
        module.fail_json(msg=f"The bundle is not intact: {'; '.join(named)}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
