# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that capture do around their work: whom they reach, what they leave, how they show and end."""

from __future__ import annotations

import tempfile
from typing import Any, Callable, TypeVar

from .arguments import instances_of, secret_values
from .bundle.part import leave_part, new_part
from .bundle.store import Store
from .captures.run import discover
from .catalog import Selection
from .deadline import Deadline
from .progress import Progress, shown
from .transports.base import Discovery, SetupError, Transport

Report = TypeVar("Report")
NO_PLACE = {"output": "", "archive": ""}


def targets_of(params: dict[str, Any], transport: Transport, selection: Selection, deadline: Deadline) -> Discovery:
    """The instances that were given as an option, else those that there are. ValueError as instances_of()."""
    given = instances_of(params)
    return Discovery(given) if given else discover(transport, selection, deadline)


def leaving_part(params: dict[str, Any], work: Callable[[Store], Report]) -> tuple[Report, dict[str, str]]:
    """What work returns, and where the part is that it filled: see leave_part(). ValueError and OSError of output."""
    store = new_part(params["output"], params["archive"])
    report = work(store)
    return report, leave_part(store, params["output"], params["archive"])


def leaving_nothing(work: Callable[[Store], Report]) -> tuple[Report, dict[str, str]]:
    """The same for check mode of what only reads: what was read is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="cloudpods-") as folder:
        return work(Store(folder)), NO_PLACE


def run_shown(
    module: Any, run: Callable[[dict[str, Any], bool, Progress], dict[str, Any]], seconds: float
) -> dict[str, Any]:
    """The result of run(params, check_mode, progress) of an AnsibleModule, which fails with what speaks against it.

    seconds: how long it may take, for who watches.
    """
    module.no_log_values.update(secret_values(module.params))
    progress = Progress()
    try:
        with shown(progress, seconds):
            return run(module.params, module.check_mode, progress)
    except (SetupError, ValueError, OSError) as error:
        module.fail_json(msg=str(error))
        raise  # it does not return
