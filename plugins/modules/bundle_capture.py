# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action bundle_capture."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_capture
short_description: Run a capturing module for a run, and bring home what it captured
version_added: 0.2.0
description:
  - Runs a module that captures, with the connection that the variables C(cloudpods_kubeconfig), C(cloudpods_context)
    and the like of the host describe, and brings what it captured into the folder of the run on the controller.
  - When the module fails, or the host cannot be reached, the task does not fail. RV(error) and RV(captured) say what
    went wrong, and M(cloudpods.diagnostics.show_result) fails the play if the policy says so.
  - The host is not trusted, as with M(cloudpods.diagnostics.bundle_fetch).
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
attributes:
  check_mode:
    support: full
    details:
      - The module runs in check mode, and nothing is brought.
  diff_mode:
    support: none
options:
  run:
    description:
      - The run, as M(cloudpods.diagnostics.bundle_start) returned it.
    type: dict
    required: true
  module:
    description:
      - The module of this collection that captures.
    type: str
    choices: [log_watch, profile_dump, stack_dump, status_info]
    required: true
  options:
    description:
      - The options of that module, without those that say where to leave the captures. They are preferred to what
        variables of the host say of its connection.
    type: dict
    default: {}
  cluster:
    description:
      - The cluster that the host belongs to. What it brings of another cluster is refused then.
      - The default in the ledger and in texts is the name of the host.
    type: str
    default: ""
  before:
    description:
      - RV(captured) of the captures before, where one variable is to hold those of several. Entries of other runs are
        left out.
    type: list
    elements: dict
    default: []
  enabled:
    description:
      - Whether to capture at all.
    type: bool
    default: true
  plan:
    description:
      - Whether to run the module in check mode before, and to show its plan as text.
    type: bool
    default: false
  show_table:
    description:
      - Whether the module's table is for M(cloudpods.diagnostics.show_result) to show. In check mode it always is.
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
  description: Why nothing was captured; empty when it was. The keys that the module returns are there besides.
  returned: success
  type: str
captured:
  description: What each capture of this host brought to the run, with this one as the last.
  returned: success
  type: list
  elements: dict
  contains:
    run:
      description: Id of the run.
      type: str
    host:
      description: Name of the host in the inventory.
      type: str
    cluster:
      description: The cluster, or the name of the host.
      type: str
    brought:
      description: The part that it brought, in the run's folder; empty when it brought none.
      type: list
      elements: str
    missed:
      description: Why it brought none, as M(cloudpods.diagnostics.bundle_seal) takes it.
      type: list
      elements: dict
    verdict:
      description: The verdict of a watch; otherwise empty.
      type: str
    table:
      description: The lines that are to be shown.
      type: list
      elements: str
    would:
      description: In check mode, how many captures would be made.
      type: int
    said:
      description: In check mode, what is said of the first of them.
      type: str
"""
