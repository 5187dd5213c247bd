# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Peak memory of a process that reads the largest profiles, as the kernel counts it.

Small limits stand for the default ones: memory is proportional to them, which is asserted.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from pprofs import make

PLUGINS = Path(__file__).resolve().parents[5] / "plugins"
MIB = 1 << 20
READER = """
import json, re, sys
sys.path.insert(0, sys.argv[1])
from module_utils.profiles.model import ProfileLimits
from module_utils.profiles.report import ReportSettings, read_one
with open(sys.argv[2], "rb") as file:
    reading = read_one("x", "", file.read(), ReportSettings(limits=ProfileLimits(**json.loads(sys.argv[3]))))
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read()).group(1)) * 1024
print(json.dumps([reading.validation.reason.value, reading.validation.message, len(reading.files), peak]))
"""
PLACES = 1000


def read_apart(path: Path, **limits: int) -> tuple[str, str, int, int]:
    """Read a profile in a separate process; return reason, message, number of reports, the peak in bytes."""
    command = [sys.executable, "-c", READER, str(PLUGINS), str(path), json.dumps(limits)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    reason, message, files, peak = json.loads(done.stdout)
    return reason, message, files, peak


def profile_of(samples: int, types: int) -> bytes:
    """Return a profile in which every sample has its own stack and values, which takes the most memory."""
    head = make(
        "Profile",
        sample_type=[make("ValueType", type=0)] * types,
        location=[make("Location", id=at, line=[make("Line", function_id=at)]) for at in range(1, PLACES + 1)],
        function=[make("Function", id=at, name=at) for at in range(1, PLACES + 1)],
        string_table=[b"", *(b"main.f%d" % at for at in range(PLACES))],
    )
    parts = [head]
    for at in range(samples):
        # Encoded by hand: lists of two and three locations below 16384, values below it (two bytes each).
        stack = bytes(_two(at % PLACES + 1) + _two(at // PLACES % PLACES + 1))
        values = bytes(_two(300 + at * 7 % 16000)) * types
        one = b"\x0a%c%b\x12%c%b" % (len(stack), stack, len(values), values)
        parts.append(b"\x12%c%b" % (len(one), one))
    return b"".join(parts)


def _two(number: int) -> tuple[int, int]:
    """Return a number below 16384 as a varint of two bytes."""
    return number & 127 | 128, number >> 7


@pytest.mark.parametrize("packed", [False, True])
def test_oversized_profile_takes_little_memory(tmp_path, packed):
    limit, size = 16 * MIB, 128 * MIB
    content = profile_of(1000, 4)
    content += b"\x12\x00" * ((size - len(content)) // 2)
    path = tmp_path / "heap.pb.gz"
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    reason, message, files, peak = read_apart(path, content=limit)
    assert (reason, files) == ("profile_too_large", 0)
    assert f"more than {limit}" in message
    assert "Next:" in message
    # The file itself, and its unpacked content up to the limit.
    assert peak < path.stat().st_size + limit + 48 * MIB


@pytest.mark.slow
def test_largest_profile_fits_into_2_gib(tmp_path):
    """Half of the memory is left to Ansible: the largest profile takes at most 1 GiB.

    An 8th and a 16th of the largest are read: powers of two, because tables grow so.
    """
    path = tmp_path / "heap.pb.gz"
    types, largest = 4, ProfileLimits().values // 4
    peaks = []
    for samples in (1, largest // 16, largest // 8):
        path.write_bytes(gzip.compress(profile_of(samples, types), 1))
        reason, _message, files, peak = read_apart(path, values=types * samples)
        assert (reason, files) == ("profile_whole", 5)
        peaks.append(peak)
    empty, half, whole = peaks
    assert 16 * MIB < whole - empty < 2.5 * (half - empty)
    assert empty + 8 * (whole - empty) < 1024 * MIB
    path.write_bytes(gzip.compress(profile_of(largest // 8 + 1, types), 1))
    reason, message, files, peak = read_apart(path, values=types * largest // 8)
    assert (reason, files) == ("profile_too_large", 0)
    assert f"more than {types * largest // 8} values" in message
    assert peak - empty < (whole - empty) / 4
