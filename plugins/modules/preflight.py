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
  - Checks all variables C(cloudpods_*) of all hosts of the play, and which Python libraries are missing on the
    controller and at the access points. The capturing roles run it first.
  - All mistakes are told at once, each in one sentence that names the variable, what is allowed, or the command that
    helps.
  - Nothing is asked of any cluster.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
  - cloudpods.diagnostics.attributes.info_module
options:
  role:
    description:
      - The role that is about to run. It decides which variables and libraries are needed.
    type: str
    choices: [capture_stacks, watch_logs, audit_health, capture_profiles]
    required: true
  libraries:
    description:
      - The libraries to look for where the module runs. The default follows from O(role) and the variables.
    type: list
    elements: str
    choices: [kubernetes, keystoneauth1, jmespath, protobuf, PyYAML]
    default: []
notes:
  - The variables of a host that cannot be reached are checked. Its libraries are not, and the module does not fail for
    that.
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
  description: All that has to be mended, a sentence or two for each; empty where nothing has to be.
  returned: success and failure
  type: list
  elements: str
  sample: ["cloudpods_timeout is 'abc'. It has to be a number of seconds from 0.1 to 86400."]
missing:
  description: Which of O(libraries) the Python that the module ran with cannot use.
  returned: success
  type: list
  elements: str
python:
  description: The path of that Python.
  returned: success
  type: str
managed:
  description: Whether that Python belongs to the operating system, so that pip refuses to install into it.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.libraries import (
    LIBRARIES,
    missing,
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
    """Wire options to the work, and its result to Ansible."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    python = this_interpreter()
    lacking = missing(module.params["libraries"])
    # The action plugin makes the sentences, of what is wrong elsewhere, too.
    module.exit_json(changed=False, msg=[], missing=lacking, python=python.path, managed=python.managed)


if __name__ == "__main__":
    main()
