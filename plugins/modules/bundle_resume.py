#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module bundle_resume: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_resume
short_description: Find the captures of an interrupted run
version_added: 0.2.0
description:
  - Finds the folder of an interrupted run and the captures in it, so that M(cloudpods.diagnostics.bundle_seal) can seal
    them. The module runs on the controller.
  - Waits some seconds for captures that are just ending.
  - Fails if there is no such run, if it is sealed already, or if it is still running. The message names the runs that
    can be sealed.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
  - cloudpods.diagnostics.attributes.info_module
options:
  output:
    description:
      - The folder for bundles.
    type: path
    required: true
  id:
    description:
      - The name of the run.
      - Without it, the module fails with the names of the runs that can be sealed.
    type: str
    default: ""
notes:
  - Only the machine where a run was started can tell whether it is still running. On another one the module fails.
seealso:
  - module: cloudpods.diagnostics.bundle_find
  - module: cloudpods.diagnostics.bundle_seal
"""

EXAMPLES = r"""
- name: Find the captures of an interrupted run
  cloudpods.diagnostics.bundle_resume:
    output: /var/tmp/bundles
    id: incident-4711
  register: interrupted
"""

RETURN = r"""
id:
  description: The name of the run.
  returned: success
  type: str
  sample: 20260102T030405Z-1a2b
folder:
  description: The folder of the run.
  returned: success
  type: str
  sample: /var/tmp/bundles/20260102T030405Z-1a2b
parts:
  description: The folder inside it for captures that are fetched from other machines.
  returned: success
  type: str
  sample: /var/tmp/bundles/20260102T030405Z-1a2b/parts
brought:
  description:
    - The parts in the folder, each a folder or an archive, for O(cloudpods.diagnostics.bundle_seal#module:parts).
  returned: success
  type: list
  elements: str
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.resume import parts_in, resume_run

ARGUMENTS = {"output": {"type": "path", "required": True}, "id": {"type": "str", "default": ""}}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        run = resume_run(module.params["output"], module.params["id"])
        brought = parts_in(run.parts)
    except (ValueError, OSError) as error:
        module.fail_json(msg=f"There is nothing to seal: {error}.")
    module.exit_json(changed=False, id=run.id, folder=run.folder, parts=run.parts, brought=brought)


if __name__ == "__main__":
    main()
