# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action bundle_capture."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_capture
short_description: Run a capturing module for a run, and fetch its captures
version_added: 0.2.0
description:
  - Runs a capturing module with the connection of the host's variables C(cloudpods_kubeconfig), C(cloudpods_context)
    and similar. Fetches the captures into the folder of the run on the controller.
  - If the module fails or the host cannot be reached, the task does not fail. RV(error) and RV(captured) have the
    error, and M(cloudpods.diagnostics.show_result) decides whether the play fails.
  - The host is not trusted, as with M(cloudpods.diagnostics.bundle_fetch).
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
attributes:
  check_mode:
    support: full
    details:
      - The module runs in check mode, and nothing is fetched.
  diff_mode:
    support: none
options:
  run:
    description:
      - The run, the result of M(cloudpods.diagnostics.bundle_start).
    type: dict
    required: true
  module:
    description:
      - The capturing module of this collection.
    type: str
    choices: [log_watch, profile_dump, stack_dump, status_info]
    required: true
  options:
    description:
      - The options of that module, without those for the place of the captures. They take precedence over the
        connection variables of the host.
    type: dict
    default: {}
  cluster:
    description:
      - The cluster of the host. If it is set, captures of another cluster are refused.
      - Ledger and texts use the name of the host by default.
    type: str
    default: ""
  before:
    description:
      - RV(captured) of earlier captures, to collect several captures in one variable. Entries of other runs are left
        out.
    type: list
    elements: dict
    default: []
  enabled:
    description:
      - If false, nothing is captured.
    type: bool
    default: true
  plan:
    description:
      - Run the module in check mode first, and show its plan as text.
    type: bool
    default: false
  show_table:
    description:
      - Let M(cloudpods.diagnostics.show_result) show the module's table. In check mode it is always shown.
    type: bool
    default: false
seealso:
  - module: cloudpods.diagnostics.bundle_start
  - module: cloudpods.diagnostics.bundle_seal
  - module: cloudpods.diagnostics.show_result
"""

EXAMPLES = r"""
- name: Capture on a node
  cloudpods.diagnostics.bundle_capture:
    run: "{{ started }}"
    module: stack_dump
    options:
      transport: host
      scenario: deadlock
  become: true
  register: dumps
"""

RETURN = r"""
error:
  description: Why nothing was captured, or empty. The result also has the keys that the module returns.
  returned: success
  type: str
captured:
  description: One entry for each capture of this host in the run, this one last.
  returned: success
  type: list
  elements: dict
  contains:
    run:
      description: The ID of the run.
      type: str
    host:
      description: The name of the host in the inventory.
      type: str
    cluster:
      description: The cluster, or the name of the host.
      type: str
    brought:
      description: The part of the capture in the folder of the run, or empty.
      type: list
      elements: str
    missed:
      description: Why there is no part, in the form of O(cloudpods.diagnostics.bundle_seal#module:absent).
      type: list
      elements: dict
    verdict:
      description: The verdict of M(cloudpods.diagnostics.log_watch), or empty.
      type: str
    table:
      description: The lines to show.
      type: list
      elements: str
    would:
      description: In check mode, the number of captures that would be made.
      type: int
    said:
      description: In check mode, the message about the first of them.
      type: str
"""
