#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module log_watch: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_watch
short_description: Watch the logs of Cloudpods services until the verdict is certain
version_added: 0.1.0
description:
  - Reads the logs of all instances of the selected components at once, first back in time and then live. Returns for
    each worker pool, instance and component whether it is healthy, busy, stuck, or losing tasks.
  - Continues after a stream is cut, a file is rotated or a container restarts, and includes new instances. Gaps are
    reported, and nothing with a gap is called healthy.
  - At the end it requests C(/ping) from the instances whose logs show no trouble, because a frozen service is silent,
    too. An instance that is silent, not ready, restarted, or does not answer is not called healthy.
  - Can capture stacks, profiles or the status of an instance in trouble and of the other suspects, at the moment when
    its log shows the trouble.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
  - cloudpods.diagnostics.attributes.actiongroup
  - cloudpods.diagnostics.selection
  - cloudpods.diagnostics.transport
  - cloudpods.diagnostics.fanout
  - cloudpods.diagnostics.part
  - cloudpods.diagnostics.kubernetes
attributes:
  check_mode:
    support: full
    details:
      - In check mode the logs are watched as usual, but nothing is captured and no file is left.
  diff_mode:
    support: none
options:
  since:
    description:
      - Seconds back in time to start reading, also in the log of the previous container.
    type: int
    default: 600
  duration:
    description:
      - Longest time to watch live, in seconds.
      - V(healthy) takes at least 60 seconds, because the services check for stuck pools every 30 seconds.
    type: float
    default: 90.0
  until:
    description:
      - When to end before O(duration).
      - V(first_hit) ends with the first line that shows trouble. V(verdict) ends when more watching cannot change the
        worst verdict. V(duration) watches for the whole time.
    type: str
    choices: [first_hit, verdict, duration]
    default: verdict
  patterns:
    description:
      - Log patterns of your own, in addition to the shipped ones.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description:
          - Its name, in lower case letters, digits and underscores.
        type: str
        required: true
      texts:
        description:
          - A line that contains any of these texts is a hit.
        type: list
        elements: str
        required: true
      severity:
        description:
          - Its severity. Only V(critical) triggers O(on_hit).
        type: str
        choices: [info, warning, critical]
        default: warning
      meaning:
        description:
          - Its meaning, for people.
        type: str
        default: ""
      form:
        description:
          - A regular expression that must also match at the beginning of the message.
        type: str
        default: ""
  on_hit:
    description:
      - What to capture when a log shows critical trouble or a pool is stuck.
      - It is captured from the instance, the other replicas of its component, and the other components of O(scenario)
        if that is set, at most 20 instances. A line older than a minute triggers nothing.
    type: list
    elements: str
    choices: [capture_stacks, capture_profiles, status]
    default: []
  cooldown:
    description:
      - Seconds after a capture during which the same instances are not captured again, whatever pool or pattern shows
        trouble.
    type: float
    default: 300.0
  deadline:
    description:
      - The deadline, in seconds, of everything besides O(duration), such as captures that are still running then.
    type: float
    default: 300.0
notes:
  - RV(ignore:changed) is true only if a capture sent a signal or took a profile that costs the service more than an
    answer.
  - O(timeout), O(concurrency) and O(node_concurrency) apply to the captures. All logs are read at the same time.
seealso:
  - module: cloudpods.diagnostics.stack_dump
  - module: cloudpods.diagnostics.bundle_seal
"""

EXAMPLES = r"""
- name: Watch the suspects of a slow system until the verdict is certain
  cloudpods.diagnostics.log_watch:
    scenario: slow_system
    output: /var/tmp/logs
  register: logs

- name: Watch for ten minutes, and capture the stacks when trouble shows
  cloudpods.diagnostics.log_watch:
    components: [region, host]
    duration: 600
    until: duration
    on_hit: [capture_stacks]

- name: Watch on a node, with a pattern of your own
  cloudpods.diagnostics.log_watch:
    transport: host
    patterns:
      - id: own_storage
        texts: ["storage is offline"]
        severity: critical
    on_hit: [capture_stacks]
  become: true
"""

RETURN = r"""
output:
  description: The folder with artifacts and ledger. Empty with O(archive=true) and in check mode.
  returned: success
  type: str
archive:
  description: The packed folder. Empty without O(archive=true) and in check mode.
  returned: success
  type: str
counts:
  description: Number of rows of the ledger by status.
  returned: success
  type: dict
  sample: {complete: 12, partial: 0, refused: 0, failed: 1, skipped: 0}
table:
  description:
    - A table for people with the verdict on each component and on each instance that is not healthy.
    - If no log was watched, one line that says why.
  returned: success
  type: list
  elements: str
cluster:
  description: The cluster's name.
  returned: success
  type: str
found:
  description: Number of instances at the start.
  returned: success
  type: int
verdict:
  description: The worst verdict, one of V(healthy), V(unknown), V(busy), V(stuck) and V(dropping).
  returned: success
  type: str
verdicts:
  description: The verdict on each component, the worst first.
  returned: success
  type: list
  elements: dict
  contains:
    component:
      description: The component's name.
      type: str
    verdict:
      description: The worst verdict on its instances.
      type: str
    evidence:
      description: The evidence for the verdict.
      type: list
      elements: str
    instances:
      description: The verdict on each instance, by its name.
      type: dict
captures:
  description: The captures that hits triggered.
  returned: success
  type: list
  elements: dict
  contains:
    instance:
      description: The instance whose log showed the trouble.
      type: str
    pool:
      description: The worker pool, or empty.
      type: str
    pattern:
      description: The ID of the pattern that matched.
      type: str
    started:
      description: When the capture started (UTC).
      type: str
    delay:
      description: Seconds from reading the line to the start of the capture.
      type: float
    signals:
      description: Number of signals that were sent.
      type: int
    touched:
      description: Number of instances of which a profile was taken that costs more than an answer.
      type: int
    error:
      description: The error of the capture, or empty.
      type: str
ended:
  description:
    - Why the watch ended, one of the choices of O(until), or V(unreachable) if nothing could be listed for some
      seconds.
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.arguments import (
    FANOUT,
    PART,
    SELECTION,
    TRANSPORT,
    argument_spec,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import (
    ACTIONS,
    UNTIL,
    LogWatchOptions,
    TriggerOptions,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.log_watch import (
    LogWatch,
    LogWatchReport,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import count_by_status
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.module_runner import (
    capturing_module,
    discard_part,
    open_access,
    run_with_progress,
    write_part,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import Progress
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import SEVERITIES
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.verdicts import LogVerdict

WATCH = {
    "since": {"type": "int", "default": 600},
    "duration": {"type": "float", "default": 90.0},
    "until": {"type": "str", "choices": list(UNTIL), "default": "verdict"},
    "patterns": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "id": {"type": "str", "required": True},
            "texts": {"type": "list", "elements": "str", "required": True},
            "severity": {"type": "str", "choices": list(SEVERITIES), "default": "warning"},
            "meaning": {"type": "str", "default": ""},
            "form": {"type": "str", "default": ""},
        },
    },
    "on_hit": {"type": "list", "elements": "str", "choices": list(ACTIONS), "default": []},
    "cooldown": {"type": "float", "default": 300.0},
}
# Connections kept open for the next request. Each followed log has a connection of its own in addition.
CONNECTIONS = 200


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Return the result for these options. Raises ValueError, SetupError, or OSError of the output folder."""
    on_hit = TriggerOptions(
        () if check_mode else tuple(dict.fromkeys(params["on_hit"])),
        **{name: params[name] for name in ("cooldown", "timeout", "concurrency", "node_concurrency")},
    )
    options = LogWatchOptions(
        on_hit=on_hit, **{name: params[name] for name in ("since", "duration", "until", "patterns")}
    )
    seconds = params["duration"] + params["deadline"]
    with open_access(params, seconds, CONNECTIONS, progress) as access:
        surroundings = (access.transport, access.found, access.selection)

        def watch(store: Store) -> LogWatchReport:
            return LogWatch(*surroundings, store, options, access.deadline, progress).run()

        finish = discard_part if check_mode else write_part
        report, place = finish(params, access.deadline, watch)
    return dict(
        place,
        changed=report.changed,
        counts=count_by_status(report.rows),
        table=report.table,
        cluster=access.transport.cluster,
        found=len(access.found.instances),
        verdict=report.verdict,
        verdicts=[_told(each) for each in report.verdicts],
        captures=report.captures,
        ended=report.ended,
    )


def _told(found: LogVerdict) -> dict[str, Any]:
    return {
        "component": found.name,
        "verdict": found.verdict,
        "evidence": list(found.evidence),
        "instances": {part.name: part.verdict for part in found.parts},
    }


def main() -> None:
    """Run the module."""
    spec = argument_spec(SELECTION, TRANSPORT, FANOUT, PART, WATCH)
    module = capturing_module(AnsibleModule, spec)
    module.exit_json(**run_with_progress(module, run, module.params["duration"] + module.params["deadline"]))


if __name__ == "__main__":
    main()
