#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module bundle_verify: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_verify
short_description: Verify a sealed bundle offline
version_added: 0.1.0
description:
  - Compares every file of a bundle with its manifest, and every row of the ledger with its artifact.
  - Names each file that is missing, was added or was changed.
  - Needs only the bundle. The check proves that nothing changed since the manifest was written, not who wrote it.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
  - cloudpods.diagnostics.attributes.info_module
options:
  path:
    description:
      - The bundle's archive or folder. The archive may be repacked in another format, such as zip.
    type: path
    required: true
  fail:
    description:
      - Fail if the bundle is not intact.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Verify that the bundle did not change
  cloudpods.diagnostics.bundle_verify:
    path: /var/tmp/20260102T030405Z-deadlock.tar.gz
"""

RETURN = r"""
intact:
  description: Whether every file matches the manifest, and there is no other file.
  returned: always
  type: bool
files:
  description: Number of files, without the manifest.
  returned: always
  type: int
missing:
  description: Files of the manifest that are missing.
  returned: always
  type: list
  elements: str
added:
  description: Files that are not in the manifest.
  returned: always
  type: list
  elements: str
changed_files:
  description: Files whose size or SHA-256 differs from the manifest.
  returned: always
  type: list
  elements: str
redaction:
  description:
    - The redaction of the bundle, from the manifest.
  returned: always
  type: dict
  version_added: 0.2.0
  contains:
    level:
      description: V(secrets), V(identity) or V(none). Empty for a bundle of a release without redaction.
      type: str
    replaced:
      description: Number of secrets that each rule replaced, and of identities of each kind.
      type: dict
      sample: {password: 3, jwt: 1}
problems:
  description: Other problems, for example a bundle that cannot be read.
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
    """Run the module."""
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
