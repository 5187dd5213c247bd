# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that capture do around their work: whom they reach, what they leave, how they show and end."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from typing import Any, Callable, TypeVar

from .arguments import check_bounds, instances_of, secret_values, without_credentials
from .bundle.part import leave_part, new_part
from .bundle.store import Store
from .captures.run import discover
from .catalog import Selection, component_of, no_component, unknown
from .deadline import Deadline, DeadlineExceeded
from .progress import Progress, shown
from .reasons import CaptureError, Reason
from .redact.redactor import SECRETS, RedactionError, Redactor
from .transports.base import Discovery, SetupError, Transport

Report = TypeVar("Report")
NO_PLACE = {"output": "", "archive": ""}
# Credentials that the libraries for Kubernetes and Keystone take from the environment.
SECRET_VARIABLES = (
    "K8S_AUTH_API_KEY",
    "K8S_AUTH_PASSWORD",
    "OS_PASSWORD",
    "OS_SECRET_KEY",
    "OS_AUTH_TOKEN",
    "OS_TOKEN",
)


def targets_of(params: dict[str, Any], transport: Transport, selection: Selection, deadline: Deadline) -> Discovery:
    """The instances that were given as an option, else those that there are.

    ValueError as instances_of(), and for the name of a component that is neither known nor there.
    """
    given = instances_of(params)
    if given:
        return Discovery(given)
    found = discover(transport, selection, deadline)
    check_names(transport, found, selection, deadline)
    return found


def check_names(transport: Transport, found: Discovery, selection: Selection, deadline: Deadline) -> None:
    """Raise ValueError for a selected component that is neither known nor there, with the names that are like it.

    What could not be looked at may have it, so then nothing is said against its name.
    """
    present = {instance.component for instance in found.instances}
    missing = [name for name in unknown(selection) if name not in present]
    if not missing or any(problem.reason is not Reason.NO_CATALOG_ENTRY for _place, problem in found.problems):
        return
    if transport.lists_workloads:
        # A workload without any pod has the label, too. Who may not list workloads goes by the pods alone.
        with contextlib.suppress(CaptureError, DeadlineExceeded):
            wanted = Selection(tuple(component_of(name) for name in missing))
            present = {one.component for one in transport.workloads(wanted, deadline)}
            missing = [name for name in missing if name not in present]
    if missing:
        raise ValueError("; ".join(no_component(name) for name in missing))


def leaving_part(params: dict[str, Any], work: Callable[[Store], Report]) -> tuple[Report, dict[str, str]]:
    """What work returns, and where the part is that it filled: see leave_part().

    ValueError and OSError of output; and those of work, with the place of what it has captured.
    """
    store = new_part(params["output"], params["archive"], redactor_of(params))
    try:
        report = work(store)
    except (SetupError, ValueError, OSError) as error:
        if not store.rows:
            raise
        raise OSError(f"{error}; what was captured until then stays in {store.root}") from error
    return report, leave_part(store, params["output"], params["archive"])


def leaving_nothing(params: dict[str, Any], work: Callable[[Store], Report]) -> tuple[Report, dict[str, str]]:
    """The same for check mode of what only reads: what was read is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="cloudpods-") as folder:
        return work(Store(folder, redactor_of(params))), NO_PLACE


def redactor_of(params: dict[str, Any]) -> Redactor:
    """The redactor that the options describe. The credentials of the run itself are taken out at every level."""
    known = [*secret_values(params), *(os.environ.get(name, "") for name in SECRET_VARIABLES)]
    return Redactor(params.get("redact") or SECRETS, known)


def result_without_secrets(result: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """A module's result as it may be shown. Where the part lies stays as it is: without that it would be lost."""
    data = json.dumps(result).encode()
    made = redactor.data(data, "result.json")
    return result if made is data else {**json.loads(made), **{key: result[key] for key in NO_PLACE if key in result}}


def run_shown(
    module: Any, run: Callable[[dict[str, Any], bool, Progress], dict[str, Any]], seconds: float
) -> dict[str, Any]:
    """The result of run(params, check_mode, progress) of an AnsibleModule, which fails with what speaks against it.

    seconds: how long it may take, for who watches. No secrets are in the result, nor in the message.
    """
    redactor, params = redactor_of(module.params), module.params
    # Ansible shows the options, and would mask each word of a kubeconfig that is given as data, wherever that is in the
    # result: the path of the part, too.
    module.params = without_credentials(params)
    module.no_log_values.clear()
    progress = Progress()
    result: dict[str, Any] = {}
    try:
        check_bounds(params)
        with shown(progress, seconds):
            result = run(params, module.check_mode, progress)
        return result_without_secrets(result, redactor)
    except RedactionError as error:
        # Not even its error may be shown as it is; where the captures are must not be lost.
        place = {key: result[key] for key in NO_PLACE if key in result}
        module.fail_json(msg=f"the result could not be looked through for secrets ({error}) and is left out", **place)
        raise  # it does not return
    except (SetupError, ValueError, OSError) as error:
        module.fail_json(msg=redactor.text(str(error)))
        raise  # it does not return
