# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of the reasons: complete sentences that name nothing unknown to the transports that give them."""

from __future__ import annotations

import itertools
import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.issue_report import place_lines, stack_table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import failure_message
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discovery_rows
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, place_row, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reason_texts import EVERY_TRANSPORT, MEANINGS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import Discovery

from workspace import ROOT

HOLES = re.compile(r"\(\s*-?\s*\)|\[\]|: :|^\s*:|:\s*\.|  |\.\.|,\s*[,.]|: *$|None|''|^\s|\s$")
_OF_KUBERNETES = r"pods?|kubelet|kubectl|API server"
# Transport -> words that mean nothing to its users.
FOREIGN = {
    "kubernetes": re.compile(r"\bbecome: true\b"),
    "host": re.compile(rf"\b({_OF_KUBERNETES})\b"),
    "keystone": re.compile(rf"\b({_OF_KUBERNETES}|containers?|nodes?)\b"),
    "url": re.compile(rf"\b({_OF_KUBERNETES}|containers?|nodes?)\b"),
}
PAIRS = [(reason, transport) for reason, meaning in MEANINGS.items() for transport in meaning.by]
DETAILS = ("", "what was seen")
POLICIES = ("failed", "partial", "any")
REGION = Instance("c1", "region", "region-a")


def check(sentence: str, transport: str) -> None:
    assert not HOLES.search(sentence), sentence
    assert not FOREIGN[transport].search(sentence), sentence


@pytest.mark.parametrize(("reason", "transport"), PAIRS)
def test_messages_are_complete_sentences(reason, transport):
    for detail, cluster, component in itertools.product(DETAILS, ("", "c1"), ("", "region")):
        outcome = verdict(reason, detail)
        check(outcome.message, transport)
        assert outcome.message.endswith(".")
        about_a_place = place_row(cluster, "", component, "discovery", outcome)
        for rows in ([about_a_place], [row(REGION, "stack", outcome)], [about_a_place, row(REGION, "stack", outcome)]):
            for line in [*place_lines(rows), *stack_table(rows)[2:]]:
                check(re.sub("  +", " ", line), transport)
            for policy in POLICIES:
                check(failure_message(rows, policy), transport)


@pytest.mark.parametrize("policy", POLICIES)
def test_run_without_rows_has_a_message(policy):
    assert failure_message([], policy) == "Nothing was captured: no instance was found."


# Files -> the transports that use them.
OF_TRANSPORTS = {
    "kubernetes/*.py": ("kubernetes",),
    "host/*.py": ("host",),
    "keystone/*.py": ("keystone",),
    "url.py": ("url", "keystone"),
    "http_client.py": ("host", "url", "keystone"),
}
GIVEN = [
    (path.name, name, transports)
    for pattern, transports in OF_TRANSPORTS.items()
    for path in (ROOT / "plugins" / "module_utils" / "transports").glob(pattern)
    for name in sorted(set(re.findall(r"\bReason\.([A-Z_0-9]+)", path.read_text())))
]


@pytest.mark.parametrize(("file", "name", "transports"), GIVEN)
def test_transport_gives_only_reasons_with_words_that_it_knows(file, name, transports):
    assert set(transports) <= set(MEANINGS[Reason[name]].by), file


def test_every_transport_gives_a_reason():
    assert {transport for _file, _name, transports in GIVEN for transport in transports} == set(EVERY_TRANSPORT)


def test_missing_component_names_the_machine_that_was_searched():
    (missing,) = discovery_rows(Discovery(machine="node1"), select(components=["keystone"]), "c1")
    assert (missing.reason, "keystone on node1" in missing.message) == ("not_found", True)
    (missing,) = discovery_rows(Discovery(), select(components=["keystone"]), "c1")
    assert "was found here: keystone." in missing.message
