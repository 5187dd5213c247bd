#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module preflight: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Check variables and libraries before any work
version_added: 0.2.0
description:
  - Checks all variables C(cloudpods_*) of all hosts of the play, and the Python libraries on the controller and at the
    access points. The capturing roles run it first.
  - Reports all mistakes at once, each with the variable and its allowed values, or with the command that installs the
    library.
  - Sends no request to any cluster.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
  - cloudpods.diagnostics.attributes.info_module
options:
  role:
    description:
      - The role that will run. It determines which variables and libraries are needed.
    type: str
    choices: [capture_stacks, watch_logs, audit_health, capture_profiles]
    required: true
  libraries:
    description:
      - The libraries to check where the module runs. The default follows from O(role) and the variables.
    type: list
    elements: str
    choices: [kubernetes, keystoneauth1, jmespath, protobuf, PyYAML]
    default: []
notes:
  - If a host cannot be reached, its variables are checked and its libraries are not. The module does not fail for that.
seealso:
  - module: cloudpods.diagnostics.bundle_start
"""

EXAMPLES = r"""
- name: Check the variables and libraries for audits
  cloudpods.diagnostics.preflight:
    role: audit_health
  any_errors_fatal: true
"""

RETURN = r"""
msg:
  description: The mistakes, one or two sentences for each. Empty if there are none.
  returned: success and failure
  type: list
  elements: str
  sample: ["cloudpods_timeout is 'abc'. It has to be a number of seconds from 0.1 to 86400."]
missing:
  description: The libraries in O(libraries) that the module's Python cannot import.
  returned: success
  type: list
  elements: str
python:
  description: The path of the module's Python.
  returned: success
  type: str
managed:
  description: Whether this Python belongs to the operating system, so that pip refuses to install into it.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.libraries import (
    LIBRARIES,
    missing_libraries,
    this_interpreter,
)

ARGUMENTS = {
    "role": {
        "type": "str",
        "choices": ["capture_stacks", "watch_logs", "audit_health", "capture_profiles"],
        "required": True,
    },
    "libraries": {"type": "list", "elements": "str", "choices": list(LIBRARIES), "default": []},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    python = this_interpreter()
    lacking = missing_libraries(module.params["libraries"])
    # The action plugin makes the sentences for this machine and for the others.
    module.exit_json(changed=False, msg=[], missing=lacking, python=python.path, managed=python.managed)


if __name__ == "__main__":
    main()
