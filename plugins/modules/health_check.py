#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module health_check: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: health_check
short_description: Evaluate health rules on the status of Cloudpods services
version_added: 0.1.0
description:
  - Evaluates rules on the parts of one or many runs of M(cloudpods.diagnostics.status_info). Returns a verdict on each
    component, each cluster and the fleet, with evidence, advice, and the next capture.
  - A rule whose data is missing gives V(unknown), never V(ok).
  - Sends no request to any service. The module runs where the parts are, usually on the controller.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
attributes:
  check_mode:
    support: full
    details: In check mode the rules are evaluated as usual, but no files are written.
  diff_mode:
    support: N/A
    details: This module does not change anything.
requirements:
  - jmespath
  - PyYAML
options:
  paths:
    description:
      - Parts of M(cloudpods.diagnostics.status_info), or sealed bundles, as folders or archives.
      - They are read in place. Nothing is unpacked to disk or changed.
      - Archives may be repacked, as zip or with another compression, and one archive may contain several.
    type: list
    elements: path
    required: true
  rules:
    description:
      - Files with rules. Of a folder, all files C(*.yml) are read in the order of their names.
      - The role P(cloudpods.diagnostics.audit_health#role) passes the shipped rules and the user's own.
      - A rule that is not valid is an error that names the file and the rule. So is a rule with an example that does
        not have the expected outcome.
    type: list
    elements: path
    required: true
  thresholds:
    description:
      - Values for thresholds of the rules, by name, instead of the defaults. An unknown name is an error.
    type: dict
    default: {}
  absent:
    description:
      - Access points without a part. Their clusters count as V(unknown).
    type: list
    elements: dict
    default: []
    suboptions:
      cluster:
        description: The access point's name.
        type: str
        required: true
      error:
        description: The error.
        type: str
        required: true
      reason:
        description: The reason, as in M(cloudpods.diagnostics.bundle_seal). It does not affect the verdict.
        type: str
        choices: [unreachable, no_result]
        default: unreachable
  baseline:
    description:
      - An earlier C(health.json), also compressed, or the bundle that contains it. Each finding is then new, worse, the
        same or better. Findings that are no longer found are listed as gone, or as not seen if this run could not look
        for them.
    type: path
  run:
    description:
      - How this run was started. The commands in RV(capture_next) repeat it, so that they can be pasted.
    type: dict
    suboptions:
      inventories:
        description: The inventories, as in C(ansible_inventory_sources).
        type: list
        elements: str
        default: []
      limit:
        description: The hosts that the run was limited to, as in C(ansible_limit).
        type: str
        default: ""
      hosts:
        description: The hosts of the play. A command for a cluster with the name of a host is limited to that host.
        type: list
        elements: str
        default: []
      variables:
        description:
          - For each variable that a command repeats, the list of its values on the hosts.
          - A variable with several values comes from the inventory and is not repeated.
        type: dict
        default: {}
  output:
    description:
      - The folder for C(health.json), C(health.md), C(health.junit.xml) and C(health.prom). It is made private to the
        user. M(cloudpods.diagnostics.bundle_seal) takes it in O(cloudpods.diagnostics.bundle_seal#module:reports).
      - Without this option, no file is written.
    type: path
  fail_on:
    description:
      - The run counts as failed if the verdict is this bad or worse. RV(failure) then gives the reason. The reports are
        written in any case.
      - With V(unknown), everything but V(ok) is a failure. V(none) never fails.
    type: str
    choices: [none, critical, warning, unknown]
    default: critical
  max_listed:
    description:
      - Largest number of findings to return, the worst first. C(health.json) has all of them.
    type: int
    default: 100
notes:
  - Files on the controller do not count as a change. RV(ignore:changed) is always false.
seealso:
  - module: cloudpods.diagnostics.status_info
  - module: cloudpods.diagnostics.bundle_seal
"""

EXAMPLES = r"""
- name: Evaluate the shipped rules and own rules, and compare with an earlier run
  cloudpods.diagnostics.health_check:
    paths:
      - /var/tmp/status
    rules:
      - "{{ role_path }}/files/rules"
      - /etc/cloudpods/own-rules.yml
    thresholds:
      slow_path_warning: 5000
    baseline: /var/tmp/20260101T030405Z-audit.tar.gz
    output: /var/tmp/health
  register: health

- name: Fail if the verdict is critical
  ansible.builtin.fail:
    msg: "{{ health.failure }}"
  when: health.failure | length > 0
"""

RETURN = r"""
verdict:
  description: The verdict on the fleet. From best to worst V(ok), V(unknown), V(warning), V(critical).
  returned: success
  type: str
  sample: warning
counts:
  description: Numbers of clusters, components and instances, and of findings by severity.
  returned: success
  type: dict
  sample: {clusters: 1, components: 24, instances: 40, critical: 0, warning: 1, unknown: 0}
clusters:
  description: The verdict on each cluster.
  returned: success
  type: list
  elements: dict
  sample: [{cluster: cloud-a, verdict: warning, transport: kubernetes, error: ""}]
components:
  description: Each component whose verdict is not V(ok).
  returned: success
  type: list
  elements: dict
  sample:
    - {cluster: cloud-a, component: region, verdict: warning, instances: 2, critical: 0, warning: 1, unknown: 0}
findings:
  description: The findings, the worst first, at most O(max_listed).
  returned: success
  type: list
  elements: dict
  contains:
    rule:
      description: The ID of the rule.
      type: str
    title:
      description: The title of the rule.
      type: str
    severity:
      description: V(critical) or V(warning).
      type: str
    cluster:
      description: The cluster. Empty for a finding on the fleet.
      type: str
    component:
      description: The component. Empty for a finding on more than one component.
      type: str
    instance:
      description: The instance. Empty for a finding on more than one instance.
      type: str
    subject:
      description: The affected part of the instance or component, for example a worker pool.
      type: str
    message:
      description: The finding in words.
      type: str
    value:
      description: The value that was compared, or null.
      type: float
    threshold:
      description: The threshold, or null.
      type: float
    artifact:
      description: Path of the document with the evidence, relative to the part or bundle.
      type: str
    advice:
      description: The advice of the rule.
      type: str
    scenario:
      description: The scenario to capture next, or empty.
      type: str
    capture_next:
      description:
        - The command that captures the stacks of the affected components.
        - Empty if stacks cannot explain the trouble or cannot be captured.
      type: str
    holds_up:
      description:
        - What the trouble blocks, V(everything) that needs the service, a V(part) of it, or V(nothing).
        - V(over) if the trouble has ended.
      type: str
    change:
      description: With O(baseline), V(new), V(worse), V(same) or V(better). Otherwise empty.
      type: str
findings_left_out:
  description: Number of findings beyond O(max_listed).
  returned: success
  type: int
affected:
  description: For each cluster, the components with critical findings that stacks can explain.
  returned: success
  type: list
  elements: dict
  sample: [{cluster: cloud-a, components: [region]}]
capture_next:
  description: The command that captures the stacks of all critical components, or empty.
  returned: success
  type: str
  sample: ansible-playbook cloudpods.diagnostics.capture_stacks -e cloudpods_components=region
failure:
  description: Why the run counts as failed under O(fail_on), or empty.
  returned: success
  type: str
table:
  description: A table for people with each component that is not V(ok), and the verdict.
  returned: success
  type: list
  elements: str
output:
  description: The folder with the reports, or empty.
  returned: success
  type: str
files:
  description: The paths of the reports.
  returned: success
  type: list
  elements: str
"""


from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bounds import check_bounds
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.capture_commands import CommandRun
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.check import (
    CheckError,
    CheckRequest,
    check,
    write_reports,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.expressions import HAS_JMESPATH
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.health_document import (
    FAIL_ON,
    affected,
    failure,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.report import table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rules import CRITICAL
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.strict_yaml import HAS_YAML
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.libraries import missing_here_message
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import utc_now, utc_text

ARGUMENTS = {
    "paths": {"type": "list", "elements": "path", "required": True},
    "rules": {"type": "list", "elements": "path", "required": True},
    "thresholds": {"type": "dict", "default": {}},
    "absent": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "cluster": {"type": "str", "required": True},
            "error": {"type": "str", "required": True},
            "reason": {"type": "str", "choices": ["unreachable", "no_result"], "default": "unreachable"},
        },
    },
    "baseline": {"type": "path"},
    "run": {
        "type": "dict",
        "options": {
            "inventories": {"type": "list", "elements": "str", "default": []},
            "limit": {"type": "str", "default": ""},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "variables": {"type": "dict", "default": {}},
        },
    },
    "output": {"type": "path"},
    "fail_on": {"type": "str", "choices": list(FAIL_ON), "default": "critical"},
    "max_listed": {"type": "int", "default": 100},
}

_OF_CLUSTER = ("cluster", "verdict", "transport", "error")
_OF_FINDING = (
    "rule",
    "title",
    "severity",
    "cluster",
    "component",
    "instance",
    "subject",
    "message",
    "value",
    "threshold",
    "artifact",
    "advice",
    "scenario",
    "capture_next",
    "holds_up",
    "change",
)


def result(document: dict[str, Any], fail_on: str, max_listed: int, files: list[str]) -> dict[str, Any]:
    """Return the keys of the result that come from the health document."""
    listed = document["findings"][: max(0, max_listed)]
    return {
        "changed": False,
        "verdict": document["verdict"],
        "counts": document["counts"],
        "clusters": [{key: cluster[key] for key in _OF_CLUSTER} for cluster in document["clusters"]],
        "components": [
            dict(component, cluster=cluster["cluster"])
            for cluster in document["clusters"]
            for component in cluster["components"]
            if component["verdict"] != "ok"
        ],
        "findings": [{key: finding[key] for key in _OF_FINDING} for finding in listed],
        "findings_left_out": len(document["findings"]) - len(listed),
        "affected": affected(document, CRITICAL),
        "capture_next": document["capture_next"],
        "failure": failure(document, fail_on),
        "table": table(document),
        "files": files,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    lacking = [library for has, library in ((HAS_JMESPATH, "jmespath"), (HAS_YAML, "PyYAML")) if not has]
    if lacking:
        module.fail_json(msg=missing_here_message(*lacking))
    request = CheckRequest(
        params["paths"],
        params["rules"],
        params["thresholds"],
        params["absent"],
        params["baseline"] or "",
        CommandRun(**(params["run"] or {})),
    )
    output = "" if module.check_mode else params["output"] or ""
    try:
        check_bounds(params)
        audit, document = check(request, utc_text(utc_now()))
        files = write_reports(output, audit, document, params["fail_on"]) if output else []
    except (CheckError, OSError, ValueError) as error:
        module.fail_json(msg=f"The audit cannot be made: {error}")
    module.exit_json(output=output, **result(document, params["fail_on"], params["max_listed"], files))


if __name__ == "__main__":
    main()
