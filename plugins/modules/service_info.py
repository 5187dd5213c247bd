#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module service_info: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_info
short_description: List the running instances of Cloudpods services
version_added: 0.1.0
description:
  - Lists every instance of the selected components, also those that do not run, with what the cluster knows about it.
  - Sends one list request per namespace to the API server, whatever the number of pods.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
  - cloudpods.diagnostics.attributes.actiongroup
  - cloudpods.diagnostics.attributes.info_module
  - cloudpods.diagnostics.selection
  - cloudpods.diagnostics.transport
  - cloudpods.diagnostics.kubernetes
options:
  deadline:
    description:
      - The deadline of the whole module call, in seconds.
    type: float
    default: 60.0
seealso:
  - module: cloudpods.diagnostics.stack_dump
"""

EXAMPLES = r"""
- name: List the suspects of a slow system
  cloudpods.diagnostics.service_info:
    scenario: slow_system
  register: services

- name: Show the instances that are not ready
  ansible.builtin.debug:
    msg: "{{ services.instances | rejectattr('ready') | map(attribute='name') | list }}"

- name: List what runs on this machine, without the API server
  cloudpods.diagnostics.service_info:
    transport: host
    components: [region, host]
"""

RETURN = r"""
instances:
  description: One entry for each instance found, sorted by cluster, namespace, component and name.
  returned: success
  type: list
  elements: dict
  contains:
    cluster:
      description: The cluster's name.
      type: str
    namespace:
      description: The pod's namespace. Empty for a process outside of Kubernetes.
      type: str
    node:
      description: The node's name. Empty while the pod is not scheduled.
      type: str
    component:
      description: The component's name.
      type: str
      sample: region
    name:
      description: The pod's name, or component and process ID for a process outside of Kubernetes.
      type: str
      sample: default-region-6d5f9c7b9-x2x7k
    container:
      description: The component's container. Empty if no container of the pod can be identified as it.
      type: str
    owner:
      description: Kind and name of the pod's controller.
      type: str
      sample: ReplicaSet/default-region-6d5f9c7b9
    ready:
      description: Whether the container is ready.
      type: bool
    restarts:
      description: Number of restarts of the container.
      type: int
    state:
      description:
        - The state of the container.
        - One of V(running), V(pending), V(waiting), V(init), V(crash_loop), V(terminating), V(terminated),
          V(no_container), V(node_lost), V(untrusted).
      type: str
    state_detail:
      description: The cluster's text about a container that does not run.
      type: str
    image:
      description: The image's name and tag.
      type: str
    image_id:
      description: The ID of the image that runs.
      type: str
    container_id:
      description: The container's ID with its runtime.
      type: str
    ports:
      description: The TCP ports that the container declares.
      type: list
      elements: int
    started:
      description: When the container started (RFC 3339, UTC).
      type: str
    read_only:
      description: Whether it is a read-only replica (label C(<component>-slave)).
      type: bool
    address:
      description: The pod's IP address, or empty.
      type: str
    last_end:
      description:
        - How the previous container ended, for example C(OOMKilled, exit code 137). Empty if there was none.
      type: str
    last_ended:
      description: When the previous container ended (RFC 3339, UTC).
      type: str
    last_started:
      description: When the previous container started (RFC 3339, UTC).
      type: str
    process:
      description: The process, with O(transport=host).
      type: dict
problems:
  description: Namespaces and nodes that could not be listed, and names in O(components) that no component has.
  returned: success
  type: list
  elements: dict
  contains:
    place:
      description: The namespace, node or name.
      type: str
    reason:
      description: The reason, a word from docs/reasons.md.
      type: str
    message:
      description: What happened, and what to do next.
      type: str
components:
  description: The selected components.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.arguments import (
    SELECTION,
    TRANSPORT,
    argument_spec,
    selection_of,
    transport_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.module_runner import (
    capturing_module,
    check_names,
    not_found,
    run_with_progress,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import Progress

DEADLINE = {"deadline": {"type": "float", "default": 60.0}}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Return the result for these options. Raises ValueError or SetupError."""
    del check_mode, progress
    selection = selection_of(params)
    transport = transport_of(params, connections=1)
    deadline = Deadline(params["deadline"])
    found = discover(transport, selection, deadline)
    missing = check_names(transport, found, selection, deadline)
    transport.close()
    return {
        "changed": False,
        "components": list(selection.names),
        "instances": [instance.as_dict() for instance in found.instances],
        "problems": [
            {"place": place, "reason": problem.reason.value, "message": problem.message}
            for place, problem in [*found.problems, *((name, not_found(name)) for name in missing)]
        ],
    }


def main() -> None:
    """Run the module."""
    module = capturing_module(AnsibleModule, argument_spec(SELECTION, TRANSPORT, DEADLINE))
    module.exit_json(**run_with_progress(module, run, module.params["deadline"]))


if __name__ == "__main__":
    main()
