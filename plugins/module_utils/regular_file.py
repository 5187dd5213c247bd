# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open a file that a user names, and read a limited amount. Standard library only, Python >= 3.7."""

from __future__ import annotations

import os
import stat
from typing import IO


def open_regular(path: str) -> IO[bytes]:
    """Open a regular file for reading, without waiting.

    Raises OSError, and ValueError for a path with a null byte and for anything but a regular file. For example, opening
    a FIFO would block until a writer comes.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is not a regular file")
    return os.fdopen(descriptor, "rb")


def read_at_most(stream: IO[bytes], limit: int, what: str) -> bytes:
    """Read a stream to its end. Raises ValueError if it has more than `limit` bytes; `what` names it in the message."""
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{what} is larger than {limit} bytes")
    return data
