# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The usage of a profile as text, and the least number of samples to name a function."""

from __future__ import annotations

import gzip
import math

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_reader import read
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.usage import (
    LEAST_SAMPLES,
    may_be_chance,
    observations,
    usage_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.validation import COUNTS
from pprofs import CPU, HEAP, make, profile

TICK = 10_000_000
SECOND = 1_000_000_000
LEAST = f"too few to name a function ({LEAST_SAMPLES - 1} samples)"


def made(*parts, **fields):
    return read(profile(*parts, **fields), ProfileLimits())


def cpu(samples, seconds):
    return made(CPU, [((samples, samples * TICK), ("main.hot",))], duration_nanos=int(seconds * SECOND))


@pytest.mark.parametrize(
    ("samples", "seconds", "text", "names"),
    [
        (0, 10, "0 s of 10 s: idle", False),
        (1, 10, "0.01 s of 10 s: idle", False),
        (9, 10.04, "0.09 s of 10 s: idle", False),
        (LEAST_SAMPLES - 1, 10, f"0.29 s of 10 s on 0.03 cores; {LEAST}", False),
        (LEAST_SAMPLES, 10, "0.3 s of 10 s on 0.03 cores", True),
        (320, 10, "3.2 s of 10 s on 0.32 cores", True),
        (2100, 10, "21 s of 10 s on 2.1 cores", True),
        (120_000, 10, "1200 s of 10 s on 120 cores", True),
        (50, 0, "0.5 s", True),
    ],
)
def test_usage_of_the_processor(samples, seconds, text, names):
    found = usage_of(cpu(samples, seconds), "cpu", 1)
    assert (found.text, found.names_functions) == (text, names)
    # The same for both of its types.
    assert usage_of(cpu(samples, seconds), "cpu", 0) == found


def heap(sampled, size, rate=512 << 10):
    """Return a profile of this number of allocations of a size, scaled up as Go does, one stack each."""
    scale = 1 / -math.expm1(-size / rate)
    stacks = [((0, 0, round(scale * 1000), round(scale * 1000 * size)), (f"main.f{n}",)) for n in range(sampled)]
    return made(HEAP, stacks, period_type=make("ValueType", type=0, unit=0), period=rate)


@pytest.mark.parametrize("size", [64, 4096, 1 << 20])
def test_counts_memory_samples_that_were_taken(size):
    found = observations(heap(3, size), "heap", 3)
    assert found == pytest.approx([1000] * 3, rel=0.01)


def test_few_memory_samples_name_no_function():
    few = made(HEAP, [((1, 1 << 20, 1, 1 << 20), ("main.cache",))], period=512 << 10)
    found = usage_of(few, "heap", 3)
    assert (found.text, found.names_functions) == ("1MB in use; too few to name a function (1 sample)", False)
    many = made(HEAP, [((99, 99 << 20, 99, 99 << 20), ("main.cache",))], period=512 << 10)
    assert usage_of(many, "heap", 3).names_functions
    assert usage_of(many, "allocs", 1).text == "99MB allocated"
    assert usage_of(many, "heap", 2).text == "99 objects in use"


@pytest.mark.parametrize("kind", ["block", "mutex"])
def test_contentions_are_the_samples_of_block_and_mutex(kind):
    types = (("contentions", "count"), ("delay", "nanoseconds"))
    found = usage_of(made(types, [((2, 3 * SECOND), ("main.lock",))]), kind, 1)
    assert (found.text.partition(";")[0], found.names_functions) == ("3s of delay", False)
    assert usage_of(made(types, [((LEAST_SAMPLES, SECOND), ("main.lock",))]), kind, 1).names_functions


@pytest.mark.parametrize(("kind", "text"), [("goroutine", "2 goroutines"), ("threadcreate", "2 threads")])
def test_counted_profiles_need_no_samples(kind, text):
    found = usage_of(made(((kind, "count"),), [((2,), ("main.wait",))]), kind, 0)
    assert (found.text, found.samples, found.names_functions) == (text, None, True)


@pytest.mark.parametrize("named", ["", *COUNTS])
def test_sample_types_determine_the_kind(named):
    assert usage_of(cpu(320, 10), named, 1).text.startswith("3.2 s of 10 s")
    assert usage_of(made((("requests", "requests"),), [((7,), ("main.f",))]), named, 0).text == "7requests of requests"


def test_real_profiles_have_a_usage(profiles):
    for name, path in profiles.items():
        kind = name.split()[1].partition("_")[0]
        found = read(gzip.decompress(path.read_bytes()), ProfileLimits())
        load = usage_of(found, kind, found.default)
        assert load.text
        assert load.samples is None or load.samples <= sum(map(abs, found.values[0])) + 1


@pytest.mark.parametrize(
    ("now", "before", "ratio", "chance"),
    [
        (2, 1, 1.0, True),
        (0, 0, 1.0, True),
        (8, 0, 1.0, True),
        (10, 0, 1.0, False),
        (150, 100, 1.0, False),
        (1010, 1000, 1.0, True),
        (200, 100, 0.5, True),
        (0, 100, 1.0, False),
    ],
)
def test_recognises_changes_within_chance(now, before, ratio, chance):
    assert may_be_chance(now, before, ratio) is chance
