# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page docs/log-patterns.md, what is looked for in logs and what it tells, made from the code (see docs.py)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import collection

sys.path.insert(0, str(collection.link()))

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.log_patterns import LOG_PATTERNS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.instance_rules import OTHER_RULES
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.pool_rules import DRAIN_ROUNDS, RULES
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.pools import EPISODE_SECONDS, WATCHDOG_SECONDS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.verdicts import ORDER, VERDICTS

HEAD = """# Log patterns and verdicts

What is looked for in the logs of the services, and what it adds up to. This page is made by `make docs`.

## Patterns

A pattern is seen where a message of the service itself says it. What only quotes it does not count: a request's line
with what a client sent, a message that has the text elsewhere than it is printed, one below the level at which it is
printed, a goroutine dump. A log line that was written into a dump does.

{patterns}

Patterns of your own have an `id` and `texts`, and may have `severity` (`info`, `warning`, `critical`), `meaning` and
`form`, a regular expression that the message has to begin with; its group `pool` names the pool. They are looked for
whatever the level, and in a request's line where they have a form. One that is `critical` keeps an instance from being
called healthy.

## Verdicts

A verdict is the worst that was proved: {order}, the better first.
A component has that of its worst instance. The evidence has what is present before what is over, whatever the verdict;
of equal verdicts, what holds up more tasks or requests comes first.

{rules}

The watchdog of the services looks every {seconds:.0f} s which pools have something to do; where its lines show another
interval, that one is taken. A pool of which it has said nothing for {rounds} rounds was idle in between: what was stuck
is busy and over then, while tasks that were lost stay lost. A time that was not seen does not count as silence. Lines
that name no pool (the oldest task, detached workers) are over when the watchdog says nothing of any pool.

Only lost tasks, and what is stuck at this moment, are certain before the time to watch has passed. A gap (a stream that
was lost, a rotation that was missed, a flood of which a part was skipped) makes nothing healthy and takes nothing back.

The number of lines, their times and the text of a finding are of one episode: lines with no pause of more than
{episode:.0f} s between two of them. A trouble that no pool is concerned with is over after such a pause. What is over
is said to be over since its last line, and gives the verdict `busy`.
"""


def page() -> str:
    """Return the text of the page."""
    patterns = [
        [f"`{each.id}`", each.severity, "<br>".join(f"`{text.strip()}`" for text in each.texts), each.meaning]
        for each in LOG_PATTERNS
    ]
    rules = [[f"`{rule.id}`", rule.verdict, rule.when] for rule in RULES]
    rules += [[f"`{name}`", verdict, when] for name, (verdict, when) in OTHER_RULES.items()]
    rules.sort(key=lambda row: ORDER.index(row[0].strip("`")))
    return HEAD.format(
        patterns=_table(["pattern", "severity", "any of these texts", "what it means"], patterns),
        rules=_table(["rule", "verdict", "when"], rules),
        order=", ".join(f"`{verdict}`" for verdict in VERDICTS),
        seconds=WATCHDOG_SECONDS,
        rounds=DRAIN_ROUNDS,
        episode=EPISODE_SECONDS,
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| {} |".format(" | ".join(cells)) for cells in [heads, ["---"] * len(heads), *rows])
