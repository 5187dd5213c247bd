# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the kubeconfig and make the client's configuration, or explain what is wrong and what to do.

kubernetes.core makes the configuration from options, variables K8S_AUTH_*, the service account of a pod, or a
kubeconfig. If none of them is given, the kubeconfig that kubeadm or k3s leaves on a control node is used.
"""

from __future__ import annotations

import getpass
import os
import platform
import threading
from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from ...libraries import COLLECTION, missing_collection_message, missing_here_message
from ...sanitize import shortened
from ...text import did_you_mean, is_path
from ..base import SetupError

IN_CLUSTER_VARIABLE = "KUBERNETES_SERVICE_HOST"
_FILES = ("ca_cert", "client_cert", "client_key")
_OTHER_FILE = "Next: see whether it is the right file."
_INSTEAD = "Where that is not possible, use cloudpods_transport=host on a node."
MOST_CONTEXTS = 10
# Held while the client's default configuration, which is one of the whole process, is in use.
_DEFAULT_LOCK = threading.Lock()


@dataclass(frozen=True)
class ConfigPlaces:
    """Paths at which credentials for a cluster are looked for."""

    user: str = "~/.kube/config"
    # The administrator's kubeconfig of kubeadm and of k3s:
    # https://kubernetes.io/docs/setup/production-environment/tools/kubeadm, https://docs.k3s.io/cluster-access
    control_nodes: tuple[str, ...] = ("/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml")
    # The service account of a pod (kubernetes.config.incluster_config of the client).
    service_account: str = "/var/run/secrets/kubernetes.io/serviceaccount/token"


USUAL_PLACES = ConfigPlaces()


@dataclass(frozen=True)
class FoundConfig:
    """Configuration of the client, the headers to send, and the name of the cluster ("" if unknown)."""

    configuration: Any
    headers: dict[str, Any]
    cluster: str


def configure(
    given: Mapping[str, Any], environment: Mapping[str, str], places: ConfigPlaces = USUAL_PLACES
) -> FoundConfig:
    """Return the configuration that the options describe. Raise SetupError with what is wrong and what to do.

    get_api_client() of kubernetes.core would also discover all API groups, without a timeout, so it is not used.
    """
    kubernetes, core_client = _libraries()
    params = {name: value for name, value in given.items() if value is not None and value != ""}
    _check_files(params)
    if needs_kubeconfig(params, environment) and not _in_pod(params, environment, places):
        params["kubeconfig"] = find_kubeconfig(params, environment, places)
    cluster = ""
    kubeconfig = params.get("kubeconfig")
    if kubeconfig is not None:
        cluster = _cluster_of(_content(kubeconfig, kubernetes), kubeconfig, _wanted(params, environment))
    try:
        configuration = _create(kubernetes, core_client, params)
        headers = core_client._create_headers(None, **params)
    except (kubernetes.config.ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        what = named(kubeconfig) if kubeconfig is not None else "The configuration of this pod's service account"
        raise SetupError(f"{what} cannot be used: {shortened(str(error))}.") from None
    return FoundConfig(configuration, headers, "" if params.get("host") else cluster)


def _create(kubernetes: Any, core_client: Any, params: Mapping[str, Any]) -> Any:
    """Return the client's configuration by kubernetes.core.

    kubernetes.core loads a kubeconfig as the client's default, and begins the next configuration with a copy of that
    default. Its hook that renews the token would send the credentials of one cluster to the next one.
    """
    with _DEFAULT_LOCK:
        kubernetes.client.Configuration.set_default(None)
        try:
            return core_client._create_configuration(core_client._create_auth_spec(None, **params))
        finally:
            kubernetes.client.Configuration.set_default(None)


def _libraries() -> tuple[Any, Any]:
    """Return the Python client and the client module of kubernetes.core. Raise SetupError if one is missing."""
    try:
        import kubernetes
        import websocket
    except ImportError as error:
        raise SetupError(f"{missing_here_message('kubernetes')} ({error}). {_INSTEAD}") from error
    try:
        from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client as core_client
    except ImportError as error:
        why = "" if f"{error.name}.".startswith(f"ansible_collections.{COLLECTION}.") else f" ({error})"
        raise SetupError(f"{missing_collection_message()}{why}. {_INSTEAD}") from error
    del websocket
    return kubernetes, core_client


def _setting(params: Mapping[str, Any], environment: Mapping[str, str], name: str) -> Any:
    return params.get(name) or environment.get(f"K8S_AUTH_{name.upper()}")


def _wanted(params: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    return str(_setting(params, environment, "context") or "")


def needs_kubeconfig(params: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Return True unless the options name the API server and the credentials, by the rules of kubernetes.core."""
    ways = (("username", "password"), ("api_key",), ("client_cert", "client_key"))
    has_host = bool(_setting(params, environment, "host"))
    return not (has_host and any(all(_setting(params, environment, each) for each in way) for way in ways))


def _in_pod(params: Mapping[str, Any], environment: Mapping[str, str], places: ConfigPlaces) -> bool:
    """Return True if kubernetes.core uses this pod's service account: neither kubeconfig nor context is named."""
    named_one = any(_setting(params, environment, name) for name in ("kubeconfig", "context"))
    return not named_one and bool(environment.get(IN_CLUSTER_VARIABLE)) and os.path.exists(places.service_account)


def find_kubeconfig(
    params: Mapping[str, Any], environment: Mapping[str, str], places: ConfigPlaces = USUAL_PLACES
) -> Any:
    """Return the kubeconfig to use: the named one, else the first readable one at the usual places.

    Several paths may be named, separated by colons, as in KUBECONFIG. Raise SetupError if there is none.
    """
    option, variable = params.get("kubeconfig"), environment.get("K8S_AUTH_KUBECONFIG")
    if isinstance(option, Mapping):
        return option
    if option is not None and not is_path(option):
        raise SetupError(
            "The option kubeconfig (cloudpods_kubeconfig) is neither a path nor a dictionary. Next: give the path of a "
            "kubeconfig at the access point, or its content as a dictionary."
        )
    for path, by in (
        (option, "cloudpods_kubeconfig"), (variable, "K8S_AUTH_KUBECONFIG"),
        (environment.get("KUBECONFIG"), "KUBECONFIG"),
    ):  # fmt: skip
        if path:
            return _named_by_user(str(path), by)
    if params.get("host") or environment.get("K8S_AUTH_HOST"):
        # An administrator's credentials must not be sent to another API server.
        paths: tuple[str, ...] = (places.user,)
    else:
        paths = (places.user, *places.control_nodes)
    for path in map(os.path.expanduser, paths):
        if os.access(path, os.R_OK):
            return path
    raise SetupError(_nothing_found(paths, bool(_setting(params, environment, "host"))))


def _named_by_user(text: str, by: str) -> str:
    paths = [os.path.expanduser(path) for path in text.split(os.pathsep) if path]
    if any(os.access(path, os.R_OK) and os.path.isfile(path) for path in paths):
        return os.pathsep.join(paths)
    for path in paths:
        if os.path.isdir(path):
            raise SetupError(f"The kubeconfig {path} is a folder. Next: name the file in it with {by}.")
        if _may_be_there(path):
            raise SetupError(f"{_unreadable(path)}. {_become(path)}")
    raise SetupError(
        f"There is no kubeconfig {text} {_here()}. Next: correct {by}; the path is looked up at the access point, not "
        "on the controller."
    )


def _may_be_there(path: str) -> bool:
    """Return True if a path exists, or lies in a folder that cannot be searched."""
    try:
        os.stat(path)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _here() -> str:
    return f"on {platform.node()}"


def _unreadable(path: str) -> str:
    return f"The kubeconfig {path} cannot be read by the user {_user()} {_here()}"


def _become(path: str) -> str:
    return f"Next: run with --become, or make {path} readable for that user."


def _nothing_found(paths: Iterable[str], has_host: bool) -> str:
    """Return the message that lists the places that were tried, and the next step."""
    looked = ["cloudpods_kubeconfig, K8S_AUTH_KUBECONFIG and KUBECONFIG (not set)"]
    unreadable = []
    for path in map(os.path.expanduser, paths):
        denied = _may_be_there(path)
        unreadable += [path] if denied else []
        looked.append(f"{path} ({'not readable for ' + _user() if denied else 'not there'})")
    looked.append("the service account of a pod (this is none)")
    text = f"No kubeconfig was found {_here()}. Looked at: {', '.join(looked)}. "
    if has_host:
        text += (
            "cloudpods_host alone gives no credentials. Next: give cloudpods_api_key, or cloudpods_client_cert and "
            "cloudpods_client_key, too."
        )
    elif unreadable:
        text += _become(unreadable[0])
    else:
        text += "Next: give the path of a kubeconfig there with cloudpods_kubeconfig, or run on a control node."
    return f"{text} {_INSTEAD}"


def _check_files(params: Mapping[str, Any]) -> None:
    """Raise SetupError if a named certificate or key cannot be read."""
    for name in _FILES:
        path = params.get(name)
        if path and not os.access(path, os.R_OK):
            what = "cannot be read" if _may_be_there(path) else "is not there"
            raise SetupError(f"The file {path} of cloudpods_{name} {what} {_here()}. Next: correct cloudpods_{name}.")


def named(kubeconfig: Any) -> str:
    """Return a kubeconfig as the subject of a sentence: its path, or that it was given as a dictionary."""
    return f"The kubeconfig {kubeconfig}" if isinstance(kubeconfig, str) else "The kubeconfig given as a dictionary"


def _content(kubeconfig: Any, kubernetes: Any) -> Mapping[str, Any]:
    """Return the content of a kubeconfig, merged from several files. Raise SetupError that quotes no secret content."""
    if isinstance(kubeconfig, Mapping):
        return kubeconfig
    try:
        merged = kubernetes.config.kube_config.KubeConfigMerger(kubeconfig).config
    except OSError as error:
        raise SetupError(f"{named(kubeconfig)} cannot be read: {error.strerror}.") from None
    except Exception as error:  # noqa: BLE001  # pylint: disable=broad-except
        # Errors of the YAML library quote the text. For text that is no dictionary the client may raise anything.
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f": line {line + 1} is not YAML" if isinstance(line, int) else ""
        raise SetupError(f"{named(kubeconfig)} is no kubeconfig{where}. {_OTHER_FILE}") from None
    content = getattr(merged, "value", None)
    if not isinstance(content, Mapping):
        raise SetupError(f"{named(kubeconfig)} is empty. {_OTHER_FILE}")
    return content


def _cluster_of(content: Mapping[str, Any], kubeconfig: Any, wanted: str) -> str:
    """Return the cluster name of the wanted or the current context. Raise SetupError that lists the contexts."""
    # The client wraps the entries of merged files.
    entries = [getattr(entry, "value", entry) for entry in content.get("contexts") or ()]
    contexts = {
        str(entry["name"]): entry.get("context") or {}
        for entry in entries
        if isinstance(entry, Mapping) and "name" in entry
    }
    name = wanted or str(content.get("current-context") or "")
    if name in contexts:
        return str(contexts[name].get("cluster") or "") if isinstance(contexts[name], Mapping) else ""
    if not contexts:
        raise SetupError(f"{named(kubeconfig)} has no contexts. {_OTHER_FILE}")
    known = sorted(contexts)
    more = f" and {len(known) - MOST_CONTEXTS} more" if len(known) > MOST_CONTEXTS else ""
    there = f"It has: {', '.join(known[:MOST_CONTEXTS])}{more}."
    if wanted:
        near = did_you_mean(wanted, known)
        raise SetupError(
            f"{named(kubeconfig)} has no context '{wanted}'{near} {there} Next: correct cloudpods_context."
        )
    raise SetupError(f"{named(kubeconfig)} has no current context. {there} Next: choose one with cloudpods_context.")
