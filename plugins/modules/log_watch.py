#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module log_watch: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_watch
short_description: Watch the logs of Cloudpods services to a verdict
version_added: 0.1.0
description:
  - Reads the logs of all instances of the selected components at once, first back in time and then live, and says of
    each worker pool, instance and component whether it is healthy, busy, stuck, or losing tasks.
  - Follows on where a stream is cut, a file is rotated or a container restarts, and takes up what appears meanwhile.
    What could not be seen is named, and nothing with a gap is called healthy.
  - At its end it asks C(/ping) of the instances whose logs tell of no trouble, since a frozen service is silent, too.
    What is silent, not ready, restarted, or does not answer is not called healthy.
  - Can capture stacks, profiles or the status of the instance in trouble, and of its suspects, at the moment at which
    its log says so.
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
      - In check mode the logs are watched all the same, but nothing is captured and no file is left.
  diff_mode:
    support: none
options:
  since:
    description:
      - How many seconds back in time to begin, also in the log of the container before.
    type: int
    default: 600
  duration:
    description:
      - How many seconds to watch live at most.
      - Without trouble it takes 60 seconds to say V(healthy), since the services look for stuck pools every 30 seconds.
    type: float
    default: 90.0
  until:
    description:
      - When to end before O(duration).
      - V(first_hit) ends with the first line that tells of trouble, V(verdict) when more watching cannot change the
        worst verdict, V(duration) not before its time.
    type: str
    choices: [first_hit, verdict, duration]
    default: verdict
  patterns:
    description:
      - Further texts to look for, besides those that this collection knows.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description:
          - A name for it, in small letters, digits and underscores.
        type: str
        required: true
      texts:
        description:
          - A line that holds any of these texts is a hit.
        type: list
        elements: str
        required: true
      severity:
        description:
          - What it weighs. Only V(critical) sets off what O(on_hit) names.
        type: str
        choices: [info, warning, critical]
        default: warning
      meaning:
        description:
          - What it means, for people.
        type: str
        default: ""
      form:
        description:
          - A regular expression that the message has to begin with besides.
        type: str
        default: ""
  on_hit:
    description:
      - What to capture of the instance, of the other replicas of its component, and of the other components of
        O(scenario) where that is given, at most 20 instances, when its log tells of critical trouble or a pool of it
        proves to be stuck. A line older than a minute sets nothing off.
    type: list
    elements: str
    choices: [capture_stacks, capture_profiles, status]
    default: []
  cooldown:
    description:
      - For so many seconds after a capture, the same instances are not captured again, whatever pool or pattern tells
        of trouble.
    type: float
    default: 300.0
  deadline:
    description:
      - The deadline, in seconds, of what comes besides O(duration), such as captures that have not ended by then.
    type: float
    default: 300.0
notes:
  - RV(ignore:changed) is true exactly when a capture sent a signal or took a profile that costs the service more than
    an answer.
  - O(timeout), O(concurrency) and O(node_concurrency) are those of the captures. All logs are read at the same time.
seealso:
  - module: cloudpods.diagnostics.stack_dump
  - module: cloudpods.diagnostics.bundle_seal
"""

EXAMPLES = r"""
- name: Watch what is suspected when the system is slow, until it is clear what it is
  cloudpods.diagnostics.log_watch:
    scenario: slow_system
    output: /var/tmp/logs
  register: logs

- name: Watch for ten minutes, and capture the stacks at the moment of trouble
  cloudpods.diagnostics.log_watch:
    components: [region, host]
    duration: 600
    until: duration
    on_hit: [capture_stacks]

- name: The same on a node, with a text of one's own
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
  description: The folder with artifacts and ledger; empty with O(archive=true) and in check mode.
  returned: success
  type: str
archive:
  description: The packed folder, with O(archive=true) and outside of check mode; else empty.
  returned: success
  type: str
counts:
  description: How many rows of the ledger have each status.
  returned: success
  type: dict
  sample: {complete: 12, partial: 0, refused: 0, failed: 1, skipped: 0}
table:
  description:
    - The verdict on each component, and on each of its instances that is not healthy, as lines for people.
    - Where no log was watched, one line that says why.
  returned: success
  type: list
  elements: str
cluster:
  description: The cluster's name.
  returned: success
  type: str
found:
  description: How many instances there were at first.
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
      description: What it rests on.
      type: list
      elements: str
    instances:
      description: The verdict on each instance, by its name.
      type: dict
captures:
  description: What hits set off.
  returned: success
  type: list
  elements: dict
  contains:
    instance:
      description: The instance whose log told of trouble.
      type: str
    pool:
      description: The worker pool, or empty.
      type: str
    pattern:
      description: What its log said, by the id of the pattern.
      type: str
    started:
      description: When the capture was begun (UTC).
      type: str
    delay:
      description: Seconds from the line's being seen to the beginning of the capture.
      type: float
    signals:
      description: How many signals were sent.
      type: int
    touched:
      description: Of how many instances a profile was taken that costs more than an answer.
      type: int
    error:
      description: What went wrong with it, or empty.
      type: str
ended:
  description:
    - Why the watching ended, one of the choices of O(until); V(unreachable) where nothing could be listed for some
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
    selection_of,
    transport_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.log_watch import (
    UNTIL,
    LogWatch,
    Options,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.triggers import ACTIONS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.triggers import Options as OnHit
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import count_by_status
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import Progress
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.running import (
    capturing_module,
    leaving_nothing,
    leaving_part,
    run_shown,
    targets_of,
)
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
# Connections that are kept open for the next request: a log that is followed has one of its own for itself.
CONNECTIONS = 200


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """The module's result for these options. ValueError and SetupError as the functions it calls; OSError of output."""
    selection = selection_of(params)
    on_hit = OnHit(
        () if check_mode else tuple(dict.fromkeys(params["on_hit"])),
        **{name: params[name] for name in ("cooldown", "timeout", "concurrency", "node_concurrency")},
    )
    options = Options(on_hit=on_hit, **{name: params[name] for name in ("since", "duration", "until", "patterns")})
    deadline = Deadline(params["duration"] + params["deadline"])
    transport = transport_of(params, CONNECTIONS)
    found = targets_of(params, transport, selection, deadline)

    def watch(store: Store) -> Any:
        return LogWatch(transport, found, selection, store, options, deadline, progress).run()

    report, place = leaving_nothing(params, deadline, watch) if check_mode else leaving_part(params, deadline, watch)
    transport.close()
    return dict(
        place,
        changed=report.changed,
        counts=count_by_status(report.rows),
        table=report.table,
        cluster=transport.cluster,
        found=len(found.instances),
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
    """Wire options to the work, and its result to Ansible."""
    spec = argument_spec(SELECTION, TRANSPORT, FANOUT, PART, WATCH)
    module = capturing_module(AnsibleModule, spec)
    module.exit_json(**run_shown(module, run, module.params["duration"] + module.params["deadline"]))


if __name__ == "__main__":
    main()
