# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a file that a user names, and reading no more than is allowed. Standard library only, Python >= 3.7."""

from __future__ import annotations

import os
import stat
from typing import IO


def open_regular(path: str) -> IO[bytes]:
    """Open a regular file for reading, without waiting.

    ValueError for anything else, such as a FIFO, which would be waited for until somebody writes to it; and for a path
    with a null byte. OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is not a regular file")
    return os.fdopen(descriptor, "rb")


def read_at_most(stream: IO[bytes], limit: int, what: str) -> bytes:
    """Read a stream to its end. ValueError, which calls it `what`, where it has more than limit bytes."""
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{what} is larger than {limit} bytes")
    return data
