# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names for addresses: what to ask /debug/pprof/symbol for, what it answered, and dumps and profiles named by it.

A service answers `num_symbols: 1` and then one line for each address whose function it knows; it leaves others out.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain
from typing import Iterable, Iterator, Mapping

from .model import Function, Profile, SourceLine

MOST_ADDRESSES = 20_000
_IN_BATCH = 200  # at most 19 bytes each: a request of 4 kB
_MOST_NAME = 4096
_ANSWER = re.compile(rb"0x([0-9a-f]{1,16}) ([^\n]{1,%d})\n" % _MOST_NAME)
_HEAD = re.compile(rb"^(\d{1,18}) @((?: 0x[0-9a-f]{1,16}){1,4096})$", re.MULTILINE)
_ROW = re.compile(rb"^#\t0x([0-9a-f]{1,16})\t+([^\t\n]+)\+0x[0-9a-f]+\t", re.MULTILINE)
_TOP_BIT = 1 << 64


def batches(addresses: Iterable[int]) -> Iterator[str]:
    """What to ask for, request by request: each address once, in hexadecimal, joined with "+".

    ValueError for more than MOST_ADDRESSES, and for what is no address.
    """
    wanted = sorted(set(addresses))
    if len(wanted) > MOST_ADDRESSES:
        raise ValueError(f"{len(wanted)} addresses are more than {MOST_ADDRESSES}")
    if wanted and not 0 < wanted[0] <= wanted[-1] < _TOP_BIT:
        raise ValueError("an address is a number from 1 below 2**64")
    for start in range(0, len(wanted), _IN_BATCH):
        yield "+".join(f"0x{address:x}" for address in wanted[start : start + _IN_BATCH])


def parse_symbol_answer(data: bytes) -> dict[int, str]:
    """The names in one answer; lines that are not of its form are passed over."""
    found = (match.groups() for match in _ANSWER.finditer(data) if _begins_line(data, match.start()))
    return {int(address, 16): name.decode("utf-8", "replace") for address, name in found}


def _begins_line(data: bytes, at: int) -> bool:
    return at == 0 or data[at - 1 : at] == b"\n"


def addresses_of_profile(profile: Profile) -> list[int]:
    """The addresses in its stacks that no function stands for, each once."""
    used = set(chain.from_iterable(set(profile.stacks)))
    return sorted({profile.locations[place].address for place in used if _is_nameless(profile, place)} - {0})


def name_profile(profile: Profile, names: Mapping[int, str]) -> Profile:
    """The profile with these names where it has none."""
    functions, locations = list(profile.functions), list(profile.locations)
    places: dict[str, int] = {}
    for index, place in enumerate(locations):
        name = names.get(place.address, "")
        if not name or not _is_nameless(profile, index):
            continue
        number = places.setdefault(name, len(functions))
        if number == len(functions):
            functions.append(Function(name, ""))
        locations[index] = place._replace(lines=(SourceLine(number, 0),))
    return replace(profile, functions=functions, locations=locations)


def _is_nameless(profile: Profile, place: int) -> bool:
    lines = profile.locations[place].lines
    return not any(line.function >= 0 and profile.functions[line.function].name for line in lines)


def addresses_of_dump(data: bytes) -> list[int]:
    """Of a dump of goroutines with debug=1, the addresses of its stacks whose function no line of it tells."""
    named = _named_in(data)
    return sorted({address for _count, stack in _stacks(data) for address in stack} - set(named))


def name_dump(data: bytes, names: Mapping[int, str]) -> list[tuple[int, list[str]]]:
    """The stacks of such a dump: how many goroutines, and the functions, innermost first; 0x... where unknown."""
    known = {**names, **_named_in(data)}
    return [(count, [known.get(address, f"0x{address:x}") for address in stack]) for count, stack in _stacks(data)]


def _stacks(data: bytes) -> Iterator[tuple[int, list[int]]]:
    """Addresses of calls: what the dump has is where they return to, which is one behind."""
    for match in _HEAD.finditer(data.replace(b"\r\n", b"\n")):
        addresses = [int(address, 16) for address in match.group(2).split()]
        yield int(match.group(1)), [address - 1 for address in addresses if address > 1]


def _named_in(data: bytes) -> dict[int, str]:
    return {int(pc, 16): name.decode("utf-8", "replace") for pc, name in (m.groups() for m in _ROW.finditer(data))}
