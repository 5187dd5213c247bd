# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that capture do around their work: whom they reach, what they leave, how they show and end."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import tempfile
from typing import Any, Callable, Iterator, TypeVar

from .arguments import instances_of, secret_values, selection_of, transport_of, without_credentials
from .bounds import check_bounds
from .bundle.part import finish_part, lock_part, new_part
from .bundle.run_folder import PREFIX
from .bundle.store import Store
from .captures.engine.discovery import discover
from .captures.engine.run import Engine
from .catalog import Selection, component_of, no_component, unknown
from .deadline import Deadline, DeadlineExceeded
from .interruption import Interrupted, end_children, interruptible
from .progress import Progress, shown
from .reasons import CaptureError, Reason, Verdict, verdict
from .redact.redactor import SECRETS, RedactionError, Redactor
from .text import is_path
from .transports.base import Discovery, SetupError, Transport

Report = TypeVar("Report")
NO_PLACE = {"output": "", "archive": ""}
# Names a file for the place of the captures. Set by the action plugin of a module that runs on this machine.
PLACE_VARIABLE = "CLOUDPODS_PLACE_FILE"
# The command that seals what a module left when it was interrupted, where there is no run around it.
SEAL = "ansible localhost -m cloudpods.diagnostics.bundle_seal -a"


class CutOff(Exception):
    """The process was interrupted. folder: where the captures are, "" where there are none."""

    def __init__(self, message: str, folder: str = "") -> None:
        super().__init__(message)
        self.folder = folder


# Credentials that the libraries for Kubernetes and Keystone take from the environment.
SECRET_VARIABLES = (
    "K8S_AUTH_API_KEY",
    "K8S_AUTH_PASSWORD",
    "OS_PASSWORD",
    "OS_SECRET_KEY",
    "OS_AUTH_TOKEN",
    "OS_TOKEN",
)


def capturing_module(base: Any, spec: dict[str, Any]) -> Any:
    """Return an AnsibleModule of this spec that supports check mode. base: the class AnsibleModule.

    The option kubeconfig is masked, since it may be a content with credentials. Its path is no secret: Ansible would
    mask it in the message about any wrong option, also where that is the same text.
    """

    class CapturingModule(base):  # type: ignore[misc]  # of a library without types
        def fail_json(self, msg: str, **kwargs: Any) -> None:
            path = self.params.get("kubeconfig")
            if is_path(path) and path not in secret_values(self.params):
                self.no_log_values.discard(path)
            super().fail_json(msg=msg, **kwargs)

    return CapturingModule(argument_spec=spec, supports_check_mode=True)


@dataclasses.dataclass
class Access:
    """An access point that is open, and what a module call captures of it. deadline: of the whole call."""

    transport: Transport
    selection: Selection
    found: Discovery
    deadline: Deadline
    progress: Progress

    def engine(self, store: Store, concurrency: int, node_concurrency: int) -> Engine:
        """Return an engine that captures into this store."""
        limits = (concurrency, node_concurrency, self.progress)
        return Engine(self.transport, self.selection, store, self.deadline, *limits)


@contextlib.contextmanager
def open_access(
    params: dict[str, Any], seconds: float, connections: int, progress: Progress, everything: bool = False
) -> Iterator[Access]:
    """Open the access point that the options describe, and list the instances to capture.

    seconds: deadline of the call. connections: to keep open. everything: select all components if none are named.
    ValueError and SetupError as the functions it calls.
    """
    selection = selection_of(params, everything=everything)
    deadline = Deadline(seconds)
    transport = transport_of(params, connections)
    try:
        found = targets_of(params, transport, selection, deadline)
        yield Access(transport, selection, found, deadline, progress)
    finally:
        transport.close()


def targets_of(params: dict[str, Any], transport: Transport, selection: Selection, deadline: Deadline) -> Discovery:
    """The instances that were given as an option, else those that there are.

    ValueError as instances_of() and check_names().
    """
    given = instances_of(params)
    if given:
        return Discovery(given)
    found = discover(transport, selection, deadline)
    return dataclasses.replace(found, unknown=check_names(transport, found, selection, deadline))


def check_names(transport: Transport, found: Discovery, selection: Selection, deadline: Deadline) -> tuple[str, ...]:
    """Return the selected names of components that are neither known nor there.

    ValueError, with the names that are like them, where all of the selected names are so: there is nothing to do then.
    What could not be looked at may have a component of such a name, so then it is no reason to end. SetupError where
    nothing at all is in the place that was looked at.
    """
    if not found.instances and not found.problems:
        with contextlib.suppress(CaptureError, DeadlineExceeded):
            nothing = transport.nothing_there(deadline)
            if nothing:
                raise SetupError(nothing)
    present = {instance.component for instance in found.instances}
    missing = [name for name in unknown(selection) if name not in present]
    if not missing or (found.is_unseen and not found.instances):
        return ()
    if transport.lists_workloads:
        # A workload without any pod has the label, too. Who may not list workloads goes by the pods alone.
        with contextlib.suppress(CaptureError, DeadlineExceeded):
            wanted = Selection(tuple(component_of(name) for name in missing))
            present = {one.component for one in transport.workloads(wanted, deadline)}
            missing = [name for name in missing if name not in present]
    if len(missing) == len(selection.names) and not found.is_unseen:
        raise ValueError("; ".join(no_component(name) for name in missing))
    return tuple(missing)


def not_found(name: str) -> Verdict:
    """Return the verdict on a name that check_names() has returned."""
    return verdict(Reason.NOT_FOUND, no_component(name))


def leaving_part(
    params: dict[str, Any], deadline: Deadline, work: Callable[[Store], Report]
) -> tuple[Report, dict[str, str]]:
    """What work returns, and where the part is that it filled: see finish_part().

    deadline: what the work hangs on; it is cancelled when the process is interrupted. ValueError and OSError of output;
    and those of work, with the place of what it has captured. CutOff when the process was interrupted. Where nothing
    was captured, nothing is left.
    """
    is_new = not params["output"] or not os.path.isdir(params["output"])
    store = new_part(params["output"], params["archive"], redactor_of(params), params["run"])
    note_place(store.root)
    with lock_part(store.root):
        try:
            report = _work_until_interrupted(store, deadline, work)
        except CutOff as error:
            if not error.folder and is_new:
                shutil.rmtree(store.root)
            raise
        except (SetupError, ValueError, OSError) as error:
            if store.is_empty:
                if is_new:
                    shutil.rmtree(store.root)
                raise
            raise OSError(f"{error}; what was captured until then stays in {store.root}") from error
    return report, finish_part(store, params["output"], params["archive"], params["run"])


def _work_until_interrupted(store: Store, deadline: Deadline, work: Callable[[Store], Report]) -> Report:
    """What work returns. CutOff when the process was interrupted: the ledger is closed then, and says so."""
    report: Report | None = None
    with contextlib.suppress(Interrupted), interruptible(deadline, store.interrupt) as interruption:
        report = work(store)
    if report is not None and not interruption.cause:
        return report
    if report is None:
        end_children()
    if store.is_empty:
        raise CutOff(f"Interrupted by {interruption.cause}, before anything was captured.")
    if report is None:
        store.finish(store.rows)
    raise CutOff(f"Interrupted by {interruption.cause}: what was captured until then is in {store.root}", store.root)


def leaving_nothing(
    params: dict[str, Any], deadline: Deadline, work: Callable[[Store], Report]
) -> tuple[Report, dict[str, str]]:
    """The same for check mode of what only reads: what was read is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        report: Report | None = None
        with contextlib.suppress(Interrupted), interruptible(deadline) as interruption:
            report = work(Store(folder, redactor_of(params)))
        if report is None or interruption.cause:
            raise CutOff(f"Interrupted by {interruption.cause}. In check mode, nothing is kept.")
        return report, NO_PLACE


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
    except CutOff as error:
        # Ansible may be there to show it, and the part is taken then as it is.
        place = dict(NO_PLACE, output=error.folder) if error.folder else {}
        module.fail_json(msg=redactor.text(f"{error}{how_to_seal(params, error.folder)}"), **place)
        raise  # it does not return
    except (SetupError, ValueError, OSError) as error:
        module.fail_json(msg=redactor.text(str(error)))
        raise  # it does not return


def how_to_seal(params: dict[str, Any], folder: str) -> str:
    """Return the end of a message that names a folder with captures: the command that seals them."""
    if not folder:
        return ""
    if params.get("run"):
        return f". Next: ansible-playbook cloudpods.diagnostics.seal_bundle -e cloudpods_run_id={params['run']}"
    return f". Next: {SEAL} {shlex.quote(json.dumps(seal_options(folder)))}"


def seal_options(folder: str) -> dict[str, Any]:
    """Return the options of bundle_seal that make a bundle of this folder of captures, beside it."""
    return {"path": f"{folder}-bundle", "parts": [folder], "interrupted": True}


def note_place(folder: str) -> None:
    """Tell the action plugin where the captures are, so that Ansible can say so when it is interrupted."""
    path = os.environ.get(PLACE_VARIABLE)
    if path:
        with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as note:
            note.write(folder)
