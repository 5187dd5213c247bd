# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page docs/rules.md, the shipped health rules and how to write one's own, made from their files (see docs.py)."""

from __future__ import annotations

import sys
from pathlib import Path

import collection

sys.path.insert(0, str(collection.link()))

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.check import read_rules
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.expressions import OWN
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rule_inputs import OF_CLUSTER, OF_INSTANCE
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rule_messages import FORMS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rules import SCOPES, Rule, RuleSet

ROOT = Path(__file__).parents[2]
RULES = ROOT / "roles" / "audit_health" / "files" / "rules"

HEAD = """# Health rules

What an audit looks for is data: files of rules in YAML. This page is made from the shipped ones by `make docs`.
Beside them, an audit takes your own files (`cloudpods_rules`, a list of files or folders) and other values for
thresholds (`cloudpods_thresholds`, by name).

A verdict is `ok`, `unknown`, `warning` or `critical`, each worse than the one before. A rule that finds nothing counts
as `ok` only where all the data was there that it `needs`. Where an instance should have it and it could not be read,
the rule is `unknown`; where the component has no such endpoint, or nobody asked, the rule does not apply. An instance
that gave no answer, no certificate and no line of its log is `unknown`, whatever the rules find: a frozen process is
silent, too.

A missing answer is a finding: a running instance that does not answer `/ping` is `critical`, ready or not.
Only a closed port right after a start is excused, and then the start is what is told.

Findings are told in this order: by severity; by how much the trouble holds up (`everything` that needs the service, a
`part` of it, `nothing` yet); what many others need first (etcd, keystone, region); then as the rules stand here. What
is `over` (nothing of it came for 150 s, though the log went on or the service answered meanwhile) is told last, and is
a `warning` at most.

"""

WRITING = """## Writing rules

```yaml
format: cloudpods.diagnostics/rules
version: 1
components: [my-service]          # optional: names that `applies_to` may have beside those of Cloudpods
thresholds:                       # optional: numbers that users may set; rules may use those of other files, too
  my_pool_queue:
    default: 100
    unit: tasks
    what: Queue of my pool.
rules:
  - id: my_pool_waits
    title: Tasks wait in my pool
    scope: instance               # instance, component, cluster or fleet: which document the expression sees
    applies_to:                   # optional: components, except, transports
      components: [my-service]
    needs: [worker_stats]         # what has to be there for silence to mean ok
    expression: "latest.worker_stats.workers[?name == 'mine'].{subject: name, value: queue, started: started_seconds}"
    levels: {compare: at_least, warning: my_pool_queue}     # or: severity: warning
    holds_up: part                # optional: everything, part (the default) or nothing (yet); what is told first
    message: "{subject}: {value} tasks wait (threshold {threshold})[[, it started {started:seconds} ago]]"
    advice: See who fills it.
    reference: https://wiki.example.com/my-pool
    scenario: deadlock            # what to capture next; leave it out when stacks cannot explain the trouble
    covers: [worker_pool_saturated]   # optional: rules that say less of the same trouble
    examples:
      - expect: warning
        status:
          expected: [worker_stats]
          samples:
            - {worker_stats: {workers: [{name: mine, active: 1, max: 1, detached: 0, queue: 200, queue_capacity: 500}]}}
      - expect: unknown
        status: {expected: [worker_stats]}
```

To try a file, give it to `cloudpods_rules`: its examples are run before anything is judged.

Files are read strictly: whatever is not understood is an error that names the file and the rule, and so is an example
that does not come out as it says.

**Expressions** are [JMESPath](https://jmespath.org). They give objects (one, a list, or null), each of which is a
finding if its `value` reaches a level, or at once where the rule has a `severity`. These fields have a meaning: `value`
(the figure that is compared), `subject` (what it is about, for example a pool), `over_seconds` (how long ago the
trouble ended; null while it lasts), `artifact` (path of the evidence), and in the wider scopes `cluster`, `component`
and `instance` (where it is). Conditions on missing figures are null and find nothing; an item whose `value` is missing
is `unknown`.

**Messages** may name all fields, and `{cluster}`, `{component}`, `{instance}` and `{threshold}`. `{field:form}` shows a
number in a form for people: {forms}. What stands in `[[ ]]` is left out where one of its fields is missing or empty;
elsewhere such a field is shown as "unknown". Long texts lose their middle, not their end.

| function beside JMESPath's own | gives |
|---|---|
| `threshold('name')` | the value of a threshold |
| `ratio(a, b)` | a / b; null where one is no number or b is 0 |
| `difference(a, b)` | a - b; null where one is no number |
| `group(list, &key)` | `[{key, items}]`, in the order of the keys |
| `beside_others(list, &figure)` | the objects of the list, each with `others`: the median of the others' figures |

**Documents.** Times are RFC 3339 in UTC, and units are in the names.

- instance: `cluster`, `component`, `path`, `transport`, `expected`, and
  - `instance`: `name`, `namespace`, `node`, `container`, `owner`, `state`, `state_detail`, `ready`, `restarts`,
    `image`, `image_id`, `started`, `started_seconds` (ago), `last_end`, `last_started`, `last_ended`,
    `last_ended_seconds` (ago), `last_ran_seconds` (how long the container before this one ran), `read_only`, and with
    the transport host `process` (`state`, the letter of /proc/PID/status, and `waits_in`)
  - `missing[]`, what was asked for and not read: `endpoint`, `sample`, `reason`, `message`, `detail` (of the message),
    `newest` (of the last sample), `started_seconds` (of the instance)
  - `latest`, the newest of each: `ping`, `version`, `stats` (totals, without paths), `worker_stats`, `db_stats`,
    `process_stats`. Pools that do nothing are left out of `worker_stats.workers[]`, and `worker_stats.pools` is the
    number of all. Pools have `active_min`, `queue_min` and `detached_min`, the least of all samples, as databases have
    `in_use_min`; `queue_first`, of the first sample; and `started_seconds` of their instance
  - `window`, what happened between the samples; `failing_paths[]` are those of its `paths[]` with 5xx
  - `certificate`
  - `log`: its `patterns[]` have a `weight` (critical, warning, info), a `meaning` and an `episode`: the last lines of
    it without a pause of more than 150 s, with `count`, `first`, `last`, `when` (in words), `line`, `pools` (names,
    where they are known) and `over_seconds`. Its `busy[]` pools have `seconds` (busy without a pause), `over_seconds`,
    what their BUSY lines tell of the queue (`queue_first`, `queue_last`, `queue_most`, `queue_reports`), and `active`,
    `max`, `queue` and `detached` of now. `last` is the time of the last line, `lines` their number, `starts[]` when the
    service began, and `starts_close` how often within ten minutes before the last start
- component: `cluster`, `component`, `transport`, `workloads[]` (`kind`, `name`, `desired`, `ready`, `read_only`),
  `versions[]` (each that an instance says), `instances[]`: as above, but of `instance` only `name`, `node`, `state`,
  `ready`, `restarts`, `read_only` and `image`, of `latest` only `ping`, `version` and `process_stats`, `certificate`,
  and of `window` the figures without lists
- cluster: `cluster`, `transport`, `named` (by the user), `selected[]`, `absent[]` (selected, and neither an instance
  nor a workload is there), `components[]` as above
- fleet: `clusters[]` as above

**Needs** are, of an instance: {of_instance}. Of the access point, for the wider scopes: {of_cluster}.
`window` together with endpoints means that they were read in two samples. `discovery` means that every place could be
looked at: without it, and without `workloads` where it is needed, not even a finding counts, because what could not be
listed is not missing. A rule has to name what its expression reads.
"""


def page() -> str:
    rules = read_rules([str(RULES)])
    lines = [HEAD.rstrip(), "", "## Shipped rules", ""]
    for scope in SCOPES:
        lines += [f"### Of {'the ' if scope == 'fleet' else 'each '}{scope}", ""]
        for rule in rules.of_scope(scope):
            lines += _section(rule, rules)
    lines += ["## Thresholds", "", "| name | default | unit | what | rules |", "|---|---|---|---|---|"]
    for name, threshold in sorted(rules.thresholds.items()):
        users = ", ".join(f"`{rule.id}`" for rule in rules.rules if name in _thresholds(rule))
        lines.append(f"| `{name}` | {threshold.default} | {threshold.unit} | {threshold.what} | {users} |")
    needs = {"{of_instance}": OF_INSTANCE, "{of_cluster}": OF_CLUSTER, "{forms}": tuple(FORMS)}
    writing = WRITING
    for mark, names in needs.items():
        writing = writing.replace(mark, ", ".join(f"`{name}`" for name in names))
    missing = [name for name in OWN if f"`{name}(" not in writing]
    if missing:
        raise SystemExit(f"rules_page.py does not tell of the functions {', '.join(missing)}")
    return "\n".join([*lines, "", writing])


def _thresholds(rule: Rule) -> set[str]:
    levels = {rule.levels.warning, rule.levels.critical} if rule.levels else set()
    return set(rule.expression.thresholds) | levels - {""}


def _section(rule: Rule, rules: RuleSet) -> list[str]:
    facts = [f"- {_weight(rule, rules)}"]
    if rule.components:
        facts.append(f"- only for: {', '.join(sorted(rule.components))}")
    if rule.exceptions:
        facts.append(f"- not for: {', '.join(sorted(rule.exceptions))}")
    if rule.transports:
        facts.append(f"- only with the transport: {', '.join(sorted(rule.transports))}")
    if rule.needs:
        facts.append(f"- needs: {', '.join(rule.needs)}")
    facts.append(f"- holds up: {rule.holds_up}")
    if rule.covers:
        facts.append(f"- told instead of: {', '.join(f'`{name}`' for name in rule.covers)}")
    if rule.scenario:
        facts.append(f"- capture next: `cloudpods_scenario={rule.scenario}`")
    source = ["```text", *rule.expression.source.replace(" .{", "\n.{").splitlines(), "```"]
    head = [f"#### `{rule.id}`", "", f"{rule.title}. {rule.advice}", ""]
    return [*head, *facts, f"- see <{rule.reference}>", "", *source, ""]


def _weight(rule: Rule, rules: RuleSet) -> str:
    if rule.levels is None:
        return f"{rule.severity}, whatever its value"
    word = "from" if rule.levels.compare == "at_least" else "down from"
    parts = [
        f"{severity} {word} {rules.thresholds[name].default} {rules.thresholds[name].unit} on (`{name}`)"
        for severity, name in (("warning", rule.levels.warning), ("critical", rule.levels.critical))
        if name
    ]
    return ", ".join(parts)
