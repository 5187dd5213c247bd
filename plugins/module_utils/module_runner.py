# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module that captures: open the access point, write the part, report progress, and handle interruption."""

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
# Names a file to write the path of the captures to. Set by the action plugin if the module runs on this machine.
PLACE_VARIABLE = "CLOUDPODS_PLACE_FILE"
# The command that seals the captures of an interrupted module outside of a run.
SEAL = "ansible localhost -m cloudpods.diagnostics.bundle_seal -a"


class CaptureInterrupted(Exception):
    """The process was interrupted. folder: of the captures, "" if there are none."""

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
    """Return the instances that the options give, or else discover them.

    ValueError as instances_of() and check_names().
    """
    given = instances_of(params)
    if given:
        return Discovery(given)
    found = discover(transport, selection, deadline)
    return dataclasses.replace(found, unknown=check_names(transport, found, selection, deadline))


def check_names(transport: Transport, found: Discovery, selection: Selection, deadline: Deadline) -> tuple[str, ...]:
    """Return the selected names of components that are neither known nor there.

    ValueError, with similar names, if all selected names are: there is nothing to do then. A place that could not be
    looked at may have such a component, so then it is no error. SetupError if the place is empty.
    """
    if not found.instances and not found.problems:
        with contextlib.suppress(CaptureError, DeadlineExceeded):
            nothing = transport.why_empty(deadline)
            if nothing:
                raise SetupError(nothing)
    present = {instance.component for instance in found.instances}
    missing = [name for name in unknown(selection) if name not in present]
    if not missing or (found.is_unseen and not found.instances):
        return ()
    if transport.lists_workloads:
        # A workload without any pod has the label, too. Without the right to list workloads, the pods decide.
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


def write_part(
    params: dict[str, Any], deadline: Deadline, work: Callable[[Store], Report]
) -> tuple[Report, dict[str, str]]:
    """Do the work with the store of a new part; return its result, and the place of the part as finish_part() does.

    deadline: of the work; it is cancelled when the process is interrupted. ValueError and OSError of output, and those
    of work, with the path of what was captured. CaptureInterrupted if the process was interrupted. If nothing was
    captured, no folder is left.
    """
    is_new = not params["output"] or not os.path.isdir(params["output"])
    store = new_part(params["output"], params["archive"], redactor_of(params), params["run"])
    note_place(store.root)
    with lock_part(store.root):
        try:
            report = _work_until_interrupted(store, deadline, work)
        except CaptureInterrupted as error:
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
    """Do the work. CaptureInterrupted if the process was interrupted: the ledger is closed then, and says so."""
    report: Report | None = None
    with contextlib.suppress(Interrupted), interruptible(deadline, store.interrupt) as interruption:
        report = work(store)
    if report is not None and not interruption.cause:
        return report
    if report is None:
        end_children()
    if store.is_empty:
        raise CaptureInterrupted(f"Interrupted by {interruption.cause}, before anything was captured.")
    if report is None:
        store.finish(store.rows)
    raise CaptureInterrupted(
        f"Interrupted by {interruption.cause}: what was captured until then is in {store.root}", store.root
    )


def discard_part(
    params: dict[str, Any], deadline: Deadline, work: Callable[[Store], Report]
) -> tuple[Report, dict[str, str]]:
    """Do the work of a module that only reads in check mode: with a store that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        report: Report | None = None
        with contextlib.suppress(Interrupted), interruptible(deadline) as interruption:
            report = work(Store(folder, redactor_of(params)))
        if report is None or interruption.cause:
            raise CaptureInterrupted(f"Interrupted by {interruption.cause}. In check mode, nothing is kept.")
        return report, NO_PLACE


def redactor_of(params: dict[str, Any]) -> Redactor:
    """Return the redactor that the options describe. Credentials of the run itself are redacted at every level."""
    known = [*secret_values(params), *(os.environ.get(name, "") for name in SECRET_VARIABLES)]
    return Redactor(params.get("redact") or SECRETS, known)


def result_without_secrets(result: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Return a module's result without secrets. The path of the part stays as it is, so that it can be found."""
    data = json.dumps(result).encode()
    made = redactor.data(data, "result.json")
    return result if made is data else {**json.loads(made), **{key: result[key] for key in NO_PLACE if key in result}}


def run_with_progress(
    module: Any, run: Callable[[dict[str, Any], bool, Progress], dict[str, Any]], seconds: float
) -> dict[str, Any]:
    """Return the result of run(params, check_mode, progress) of an AnsibleModule, or fail the module.

    seconds: the time that it may take, for the progress lines. Neither result nor message contains secrets.
    """
    redactor, params = redactor_of(module.params), module.params
    # Ansible returns the options, and would mask each word of a kubeconfig that is given as data anywhere in the
    # result, for example in the path of the part.
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
        # The error itself may hold a secret. The path of the captures must not be lost.
        place = {key: result[key] for key in NO_PLACE if key in result}
        module.fail_json(msg=f"the result could not be searched for secrets ({error}) and is left out", **place)
        raise  # it does not return
    except CaptureInterrupted as error:
        # If Ansible still waits for the result, it takes the part as it is.
        place = dict(NO_PLACE, output=error.folder) if error.folder else {}
        module.fail_json(msg=redactor.text(f"{error}{how_to_seal(params, error.folder)}"), **place)
        raise  # it does not return
    except (SetupError, ValueError, OSError) as error:
        module.fail_json(msg=redactor.text(str(error)))
        raise  # it does not return


def how_to_seal(params: dict[str, Any], folder: str) -> str:
    """Return the end of a message that names a folder with captures: the command that seals it."""
    if not folder:
        return ""
    if params.get("run"):
        return f". Next: ansible-playbook cloudpods.diagnostics.seal_bundle -e cloudpods_run_id={params['run']}"
    return f". Next: {SEAL} {shlex.quote(json.dumps(seal_options(folder)))}"


def seal_options(folder: str) -> dict[str, Any]:
    """Return the options of bundle_seal that make a bundle of this folder of captures, beside it."""
    return {"path": f"{folder}-bundle", "parts": [folder], "interrupted": True}


def note_place(folder: str) -> None:
    """Write the path of the captures for the action plugin, which reports it if Ansible is interrupted."""
    path = os.environ.get(PLACE_VARIABLE)
    if path:
        with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as note:
            note.write(folder)
