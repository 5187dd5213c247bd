# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page docs/rules.md, the shipped health rules and how to write rules, made from their files (see docs.py)."""

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

An audit evaluates these rules. Add your own rules and change thresholds like this:

```console
$ ansible-playbook cloudpods.diagnostics.audit_health \\
    -e '{"cloudpods_rules": ["own-rules.yml"], "cloudpods_thresholds": {"slow_path_warning": 5000}}'
```

Rules are files in YAML; [Writing rules](#writing-rules) explains them. This page is generated from the shipped rules by
`make docs`.

**Verdicts** are `ok`, `unknown`, `warning` and `critical`, in order of severity. A rule that finds nothing is `ok` only
if all data that it `needs` was read. If an instance should have the data and it could not be read, the rule is
`unknown`. If the component has no such endpoint or it was not requested, the rule does not apply. An instance without
any answer, certificate and log line is `unknown`, whatever the rules find, because a frozen process is silent, too.

**A missing answer is a finding.** A running instance that does not answer `/ping` is `critical`, ready or not. Only a
closed port right after a start is excused; then the start is reported.

**Order of findings:** by severity; by what the trouble blocks (`everything` that needs the service, a `part` of it,
`nothing` yet); components that many others need first (etcd, keystone, region); then the order on this page. Trouble
that is `over` (no sign of it for 150 s, while the log went on or the service answered) comes last, and is at most a
`warning`.

"""

WRITING = """## Writing rules

```yaml
format: cloudpods.diagnostics/rules
version: 1
components: [my-service]          # optional: names for `applies_to` in addition to those of Cloudpods
thresholds:                       # optional: numbers that users may set; rules may also use those of other files
  my_pool_queue:
    default: 100
    unit: tasks
    what: Queue of my pool.
rules:
  - id: my_pool_waits
    title: Tasks wait in my pool
    scope: instance               # instance, component, cluster or fleet: the document of the expression
    applies_to:                   # optional: components, except, transports
      components: [my-service]
    needs: [worker_stats]         # data without which the rule is unknown instead of ok
    expression: "latest.worker_stats.workers[?name == 'mine'].{subject: name, value: queue, started: started_seconds}"
    levels: {compare: at_least, warning: my_pool_queue}     # or: severity: warning
    holds_up: part                # optional: what the trouble blocks: everything, part (default) or nothing (yet)
    message: "{subject}: {value} tasks wait (threshold {threshold})[[, it started {started:seconds} ago]]"
    advice: See who fills it.
    reference: https://wiki.example.com/my-pool
    scenario: deadlock            # the scenario to capture next; leave it out if stacks cannot explain the trouble
    covers: [worker_pool_saturated]   # optional: less specific rules that are not reported for the same trouble
    examples:
      - expect: warning
        status:
          expected: [worker_stats]
          samples:
            - {worker_stats: {workers: [{name: mine, active: 1, max: 1, detached: 0, queue: 200, queue_capacity: 500}]}}
      - expect: unknown
        status: {expected: [worker_stats]}
```

To try a file, pass it in `cloudpods_rules`. Its examples run before anything is evaluated. Anything in a file that is
not valid is an error that names the file and the rule. So is an example without the expected outcome.

**Expressions** are [JMESPath](https://jmespath.org). They return objects (one, a list, or null). Each object is a
finding if its `value` reaches a level, or in any case if the rule has a `severity`. These fields have a meaning:
`value` (compared with the levels), `subject` (the affected part, for example a pool), `over_seconds` (how long ago the
trouble ended; null while it lasts), `artifact` (path of the evidence), and in the wider scopes `cluster`, `component`
and `instance`. Conditions on missing values are null and find nothing. An object without `value` is `unknown`.

**Messages** may use all fields, and `{cluster}`, `{component}`, `{instance}` and `{threshold}`. `{field:form}` formats
a number for people: {forms}. Text in `[[ ]]` is left out if one of its fields is missing or empty. Elsewhere such a
field is shown as "unknown". Long texts are shortened in the middle.

| function in addition to those of JMESPath | returns |
|---|---|
| `threshold('name')` | the value of a threshold |
| `ratio(a, b)` | a / b; null if one is not a number or b is 0 |
| `difference(a, b)` | a - b; null if one is not a number |
| `group(list, &key)` | `[{key, items}]`, in the order of the keys |
| `beside_others(list, &figure)` | the objects of the list, each with `others`: the median of all other values |

**Documents.** Times are RFC 3339 in UTC, and units are in the names.

- instance: `cluster`, `component`, `path`, `transport`, `expected`, and
  - `instance`: `name`, `namespace`, `node`, `container`, `owner`, `state`, `state_detail`, `ready`, `restarts`,
    `image`, `image_id`, `started`, `started_seconds` (ago), `last_end`, `last_started`, `last_ended`,
    `last_ended_seconds` (ago), `last_ran_seconds` (how long the previous container ran), `read_only`, and with
    the transport host `process` (`state`, the letter of /proc/PID/status, and `waits_in`)
  - `missing[]`, endpoints that were requested and not read: `endpoint`, `sample`, `reason`, `message`, `detail` (of the
    message), `newest` (of the last sample), `started_seconds` (of the instance)
  - `latest`, the newest of each: `ping`, `version`, `stats` (totals, without paths), `worker_stats`, `db_stats`,
    `process_stats`. Idle pools are left out of `worker_stats.workers[]`, and `worker_stats.pools` is the number of all
    pools. Pools have `active_min`, `queue_min` and `detached_min`, the minimum of all samples, as databases have
    `in_use_min`; `queue_first`, of the first sample; and `started_seconds` of their instance
  - `window`, the changes between the samples; `failing_paths[]` are those of its `paths[]` with 5xx
  - `certificate`
  - `log`: its `patterns[]` have a `weight` (critical, warning, info), a `meaning` and an `episode`: the last lines of
    it without a pause of more than 150 s, with `count`, `first`, `last`, `when` (in words), `line`, `pools` (names, if
    known) and `over_seconds`. Its `busy[]` pools have `seconds` (busy without a pause), `over_seconds`, the queue in
    their BUSY lines (`queue_first`, `queue_last`, `queue_most`, `queue_reports`), and `active`,
    `max`, `queue` and `detached` of now. `last` is the time of the last line, `lines` their number, `starts[]` the
    starts of the service, and `starts_close` the number of starts within ten minutes before the last one
- component: `cluster`, `component`, `transport`, `workloads[]` (`kind`, `name`, `desired`, `ready`, `read_only`),
  `versions[]` (all versions that instances report), `instances[]`: as above, but of `instance` only `name`, `node`,
  `state`, `ready`, `restarts`, `read_only` and `image`, of `latest` only `ping`, `version` and `process_stats`,
  `certificate`, and of `window` the figures without lists
- cluster: `cluster`, `transport`, `named` (by the user), `selected[]`, `absent[]` (selected, but without an instance
  and a workload), `components[]` as above
- fleet: `clusters[]` as above

**Needs** of an instance: {of_instance}. Needs of the access point, for the wider scopes: {of_cluster}. `window`
together with endpoints means that these were read in two samples. `discovery` means that everything could be listed.
Without `discovery`, and without `workloads` if it is needed, a finding does not count, because what could not be listed
is not missing. A rule must declare everything that its expression reads.
"""


def page() -> str:
    """Return the text of the page, one section for each rule."""
    rules = read_rules([str(RULES)])
    lines = [HEAD.rstrip(), "", "## Shipped rules", ""]
    for scope in SCOPES:
        lines += [f"### Rules of {'the ' if scope == 'fleet' else 'each '}{scope}", ""]
        for rule in rules.of_scope(scope):
            lines += _section(rule, rules)
    lines += ["## Thresholds", "", "| name | default | unit | meaning | rules |", "|---|---|---|---|---|"]
    for name, threshold in sorted(rules.thresholds.items()):
        users = ", ".join(f"`{rule.id}`" for rule in rules.rules if name in _thresholds(rule))
        lines.append(f"| `{name}` | {threshold.default} | {threshold.unit} | {threshold.what} | {users} |")
    needs = {"{of_instance}": OF_INSTANCE, "{of_cluster}": OF_CLUSTER, "{forms}": tuple(FORMS)}
    writing = WRITING
    for mark, names in needs.items():
        writing = writing.replace(mark, ", ".join(f"`{name}`" for name in names))
    missing = [name for name in OWN if f"`{name}(" not in writing]
    if missing:
        raise SystemExit(f"rules_page.py does not document the functions {', '.join(missing)}")
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
    facts.append(f"- blocks (`holds_up`): {rule.holds_up}")
    if rule.covers:
        facts.append(f"- reported instead of: {', '.join(f'`{name}`' for name in rule.covers)}")
    if rule.scenario:
        facts.append(f"- capture next: `cloudpods_scenario={rule.scenario}`")
    source = ["```text", *rule.expression.source.replace(" .{", "\n.{").splitlines(), "```"]
    head = [f"#### `{rule.id}`", "", f"{rule.title}. {rule.advice}", ""]
    return [*head, *facts, f"- see <{rule.reference}>", "", *source, ""]


def _weight(rule: Rule, rules: RuleSet) -> str:
    if rule.levels is None:
        return f"{rule.severity}, with any value"
    word = "at least" if rule.levels.compare == "at_least" else "at most"
    parts = [
        f"{severity} if {word} {rules.thresholds[name].default} {rules.thresholds[name].unit} (`{name}`)"
        for severity, name in (("warning", rule.levels.warning), ("critical", rule.levels.critical))
        if name
    ]
    return ", ".join(parts)
