# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our checks of documents against the published schemas: neither may change without the other.

jsonschema judges by docs/schemas, our checks by document_schemas.py (and compare.py for a baseline). Whatever a schema
allows has to be read. Whatever has a wrong type is refused by both, unless an audit does not read the value at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.compare import read_baseline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.documents import (
    cluster_status,
    instance_status,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.schema_checks import SchemaError
from hypothesis import given, settings
from hypothesis import strategies as st
from published_schemas import documents, dotted, full_document, places, published, with_wrong_type


@dataclass(frozen=True)
class Format:
    """A published format, the reader of it, and the places that the reader leaves out, with all below them."""

    name: str
    is_read: Callable[[Any], bool]
    unread: tuple[str, ...]

    def reads(self, place: str) -> bool:
        return not any(place == each or place.startswith((f"{each}.", f"{each}[")) for each in self.unread)


def _refuses_nothing(read: Callable[[Any], Any]) -> Callable[[Any], bool]:
    def is_read(document: Any) -> bool:
        try:
            found = read(document)
        except SchemaError:
            return False
        return not getattr(found, "broken", None)

    return is_read


STATUS = Format(
    "status",
    _refuses_nothing(lambda document: instance_status(document, "c/region/region-1/status.json")),
    (
        "certificate.not_before",
        "instance.address",
        "instance.container_id",
        "instance.ports",
        # A sample without a usable time is judged all the same.
        "samples[].at",
        "samples[].elapsed_seconds",
        "samples[].stats.paths",
        "samples[].stats.paths_left_out",
        "samples[].stats.paths_total",
        "samples[].taken",
        "samples[].worker_stats.workers_left_out",
        "window.errors_4xx",
    ),
)
CLUSTER = Format("cluster-status", _refuses_nothing(cluster_status), ("workloads[].cluster",))
_OF_FINDING = (
    "advice", "artifact", "capture_next", "change", "fields", "holds_up", "reference", "scenario", "scope",
    "threshold", "title", "unit", "value",
)  # fmt: skip
BASELINE = Format(
    "health",
    _refuses_nothing(read_baseline),
    (
        "baseline", "capture_next", "clusters", "collected", "counts", "covered", "problems", "problems_left_out",
        "rules", "thresholds", "unknown", *(f"findings[].{key}" for key in _OF_FINDING),
    ),
)  # fmt: skip
FORMATS = [STATUS, CLUSTER, BASELINE]


@pytest.fixture(params=FORMATS, ids=lambda each: each.name, scope="module")
def form(request):
    return request.param


VALIDATORS = {form.name: jsonschema.Draft202012Validator(published(form.name)) for form in FORMATS}
DOCUMENTS = {form.name: documents(published(form.name)) for form in FORMATS}


@settings(max_examples=30)
@given(st.data())
def test_reads_every_document_that_the_schema_allows(form, data):
    document = data.draw(DOCUMENTS[form.name])
    VALIDATORS[form.name].validate(document)
    assert form.is_read(document)


def test_refuses_wrong_types_wherever_a_value_is_read(form):
    document = full_document(published(form.name))
    assert VALIDATORS[form.name].is_valid(document)
    assert form.is_read(document)
    for place in places(document):
        changed = with_wrong_type(document, place)
        assert not VALIDATORS[form.name].is_valid(changed), dotted(place)
        assert form.is_read(changed) != form.reads(dotted(place)), dotted(place)


def test_schema_refuses_process_stats_without_figures():
    schema = published("status")["properties"]["samples"]["items"]["properties"]["process_stats"]
    assert not jsonschema.Draft202012Validator(schema).is_valid({})


def test_places_that_are_not_read_exist(form):
    known = {dotted(place) for place in places(full_document(published(form.name)))}
    assert set(form.unread) <= known
