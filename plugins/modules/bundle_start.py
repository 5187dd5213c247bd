#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module bundle_start: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_start
short_description: Create the private folder of a run
version_added: 0.2.0
description:
  - Creates the folder for the bundle of a run. Run it on the controller before anything is captured, so that no capture
    is lost because its bundle cannot be written.
  - Fails if the ID is not a plain name, if a bundle with this ID exists, if other users could replace the bundle, if
    the folder is not writable or the disk is full, or if the identity map cannot be used.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode everything is checked and nothing is created.
  diff_mode:
    support: none
options:
  output:
    description:
      - The folder for bundles. It is created if it is missing.
    type: path
    required: true
  id:
    description:
      - The name of the run and of its bundle, of 1 to 64 letters, digits, V(.), V(_) and V(-).
      - The default consists of the time and a random number.
    type: str
    default: ""
  deprecated:
    description:
      - Variables without the prefix C(cloudpods_) that the run uses for its connection. The module shows a deprecation
        warning for them.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  ignored:
    description:
      - Variables without the prefix C(cloudpods_) that look like a connection and are not used. The module warns about
        them.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  identity_map:
    description:
      - The identity map that M(cloudpods.diagnostics.bundle_seal) will use. The module fails if it cannot be used, and
        does not create it.
    type: path
notes:
  - Files on the controller do not count as a change. RV(ignore:changed) is always false.
seealso:
  - module: cloudpods.diagnostics.bundle_fetch
  - module: cloudpods.diagnostics.bundle_seal
"""

EXAMPLES = r"""
- name: Create the folder of the run
  cloudpods.diagnostics.bundle_start:
    output: /var/tmp/bundles
    id: incident-4711
  delegate_to: localhost
  run_once: true
  register: started
"""

RETURN = r"""
id:
  description: The name of the run.
  returned: success
  type: str
  sample: 20260102T030405Z-1a2b
folder:
  description: The folder of the bundle.
  returned: success
  type: str
  sample: /var/tmp/bundles/20260102T030405Z-1a2b
parts:
  description: The folder inside it for the parts of the access points.
  returned: success
  type: str
  sample: /var/tmp/bundles/20260102T030405Z-1a2b/parts
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.identity_map import check_map
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.run_folder import new_run_id, start_run
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import utc_now

ARGUMENTS = {
    "output": {"type": "path", "required": True},
    "id": {"type": "str", "default": ""},
    "deprecated": {"type": "list", "elements": "str", "default": []},
    "ignored": {"type": "list", "elements": "str", "default": []},
    "identity_map": {"type": "path"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    if params["deprecated"]:
        module.deprecate(
            f"{', '.join(params['deprecated'])}: name it cloudpods_kubeconfig or cloudpods_context",
            version="1.0.0",
            collection_name="cloudpods.diagnostics",
        )
    if params["ignored"]:
        module.warn(
            f"{', '.join(params['ignored'])}: not taken, as others use this name, too. To have it taken, name it "
            "cloudpods_kubeconfig or cloudpods_context."
        )
    try:
        if params["identity_map"]:
            check_map(params["identity_map"])
        run = start_run(params["output"], params["id"] or new_run_id(utc_now()), module.check_mode)
    except (ValueError, OSError) as error:
        module.fail_json(msg=f"The run cannot begin: {error}.")
    module.exit_json(changed=False, id=run.id, folder=run.folder, parts=run.parts)


if __name__ == "__main__":
    main()
