#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module bundle_find: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_find
short_description: Pack the captures of an interrupted run on a machine
version_added: 0.2.0
description:
  - Finds the captures of an interrupted run in the temporary folder of a machine, and packs them for
    M(cloudpods.diagnostics.bundle_fetch).
  - Takes only folders and archives that belong to the user and have a name beginning with C(cloudpods-) and the name of
    the run. Removes folders without any capture.
  - Fails if a capture of the run is still running on that machine.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
attributes:
  check_mode:
    support: none
  diff_mode:
    support: none
options:
  run:
    description:
      - The name of the run.
    type: str
    required: true
seealso:
  - module: cloudpods.diagnostics.bundle_resume
  - module: cloudpods.diagnostics.bundle_fetch
"""

EXAMPLES = r"""
- name: Pack the captures of the run on this machine
  cloudpods.diagnostics.bundle_find:
    run: incident-4711
  register: left
"""

RETURN = r"""
archives:
  description: The archives on that machine.
  returned: success
  type: list
  elements: str
  sample: [/tmp/cloudpods-incident-4711-x1y2z3.tar.gz]
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.resume import pack_leftovers

ARGUMENTS = {"run": {"type": "str", "required": True}}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=False)
    try:
        archives = pack_leftovers(module.params["run"])
    except (ValueError, OSError) as error:
        module.fail_json(msg=f"What the run left here cannot be packed: {error}.")
    module.exit_json(changed=bool(archives), archives=archives)


if __name__ == "__main__":
    main()
