# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names for addresses: requests to /debug/pprof/symbol, their answers, and addresses without a name.

A service answers `num_symbols: 1` and then one line for each address whose function it knows; it leaves out the others.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import Iterable, Iterator

from .model import Profile

MOST_ADDRESSES = 20_000
_IN_BATCH = 200  # at most 19 bytes each: a request of 4 kB
_MOST_NAME = 4096
_ANSWER = re.compile(rb"0x([0-9a-f]{1,16}) ([^\n]{1,%d})\n" % _MOST_NAME)
_HEAD = re.compile(rb"^\d{1,18} @((?: 0x[0-9a-f]{1,16}){1,4096})$", re.MULTILINE)
_ROW = re.compile(rb"^#\t0x([0-9a-f]{1,16})\t+([^\t\n]+)\+0x[0-9a-f]+\t", re.MULTILINE)
_TOP_BIT = 1 << 64


def batches(addresses: Iterable[int]) -> Iterator[str]:
    """Yield the request bodies: each address once, in hexadecimal, joined with "+".

    Raises ValueError for more than MOST_ADDRESSES, and for an invalid address.
    """
    wanted = sorted(set(addresses))
    if len(wanted) > MOST_ADDRESSES:
        raise ValueError(f"{len(wanted)} addresses are more than {MOST_ADDRESSES}")
    if wanted and not 0 < wanted[0] <= wanted[-1] < _TOP_BIT:
        raise ValueError("an address is a number from 1 below 2**64")
    for start in range(0, len(wanted), _IN_BATCH):
        yield "+".join(f"0x{address:x}" for address in wanted[start : start + _IN_BATCH])


def parse_symbol_answer(data: bytes) -> dict[int, str]:
    """Return the names in one answer; malformed lines are skipped."""
    found = (match.groups() for match in _ANSWER.finditer(data) if _begins_line(data, match.start()))
    return {int(address, 16): name.decode("utf-8", "replace") for address, name in found}


def _begins_line(data: bytes, at: int) -> bool:
    return at == 0 or data[at - 1 : at] == b"\n"


def addresses_of_profile(profile: Profile) -> list[int]:
    """Return the addresses in its stacks that have no function, each once."""
    used = set(chain.from_iterable(set(profile.stacks)))
    return sorted({profile.locations[location].address for location in used if _is_nameless(profile, location)} - {0})


def _is_nameless(profile: Profile, location: int) -> bool:
    lines = profile.locations[location].lines
    return not any(line.function >= 0 and profile.functions[line.function].name for line in lines)


def addresses_of_dump(data: bytes) -> list[int]:
    """Return the addresses in a debug=1 dump whose function no line of it names."""
    return sorted(set(_call_addresses(data)) - _named_in(data))


def _call_addresses(data: bytes) -> Iterator[int]:
    """Yield the call addresses of all stacks. A dump has return addresses, which are one higher."""
    for match in _HEAD.finditer(data.replace(b"\r\n", b"\n")):
        for address in match.group(1).split():
            if int(address, 16) > 1:
                yield int(address, 16) - 1


def _named_in(data: bytes) -> set[int]:
    return {int(match.group(1), 16) for match in _ROW.finditer(data)}
