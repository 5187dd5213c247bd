# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several modules share, and the objects that are made from their values.

The documentation of each group is the doc fragment of the same name. Modules merge the groups that they need. Code
behind the modules gets plain values, never the module object.
"""

from __future__ import annotations

import os
import re
from typing import Any, Iterator

from .auth_options import AUTH_ARG_SPEC
from .catalog import (
    BINARY_DIR,
    COMPONENTS,
    DEFAULT_NAMESPACE,
    Selection,
    component_name,
    no_component,
    select,
    select_everything,
)
from .model import Instance
from .redact.redactor import LEVELS, SECRETS, marker
from .text import is_path
from .transports.base import SetupError, Transport

SELECTION = {
    "scenario": {"type": "str"},
    "components": {"type": "list", "elements": "str", "default": []},
}  # type: dict[str, Any]

TRANSPORT = {
    "transport": {"type": "str", "choices": ["kubernetes", "host"], "default": "kubernetes"},
    "cluster": {"type": "str", "default": ""},
    "namespaces": {"type": "list", "elements": "str", "default": [DEFAULT_NAMESPACE]},
    "binary_dirs": {"type": "list", "elements": "str", "default": [BINARY_DIR]},
}  # type: dict[str, Any]

# Two more transports can only read the status of services.
STATUS_TRANSPORT = dict(
    TRANSPORT,
    transport={"type": "str", "choices": ["kubernetes", "host", "keystone", "url"], "default": "kubernetes"},
)  # type: dict[str, Any]

KEYSTONE = {
    "keystone": {
        "type": "dict",
        "no_log": False,  # the secrets in it are marked
        "options": {
            "auth_url": {"type": "str"},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "token": {"type": "str", "no_log": True},
            "access_key": {"type": "str", "no_log": False},
            "secret_key": {"type": "str", "no_log": True},
            "project_name": {"type": "str"},
            "project_domain": {"type": "str"},
            "user_domain": {"type": "str"},
            "region_name": {"type": "str"},
            "endpoint_type": {"type": "str", "choices": ["internalURL", "publicURL", "adminURL", "apigateway"]},
            "cacert": {"type": "path"},
            "insecure": {"type": "bool"},
        },
    },
    "urls": {"type": "dict", "default": {}},
}  # type: dict[str, Any]

FANOUT = {
    "concurrency": {"type": "int", "default": 40},
    "node_concurrency": {"type": "int", "default": 20},
    "timeout": {"type": "float", "default": 30.0},
    "deadline": {"type": "float", "default": 300.0},
}  # type: dict[str, Any]

PART = {
    "instances": {"type": "list", "elements": "dict", "default": []},
    "output": {"type": "path"},
    "archive": {"type": "bool", "default": False},
    "run": {"type": "str", "default": ""},
    "redact": {"type": "str", "choices": list(LEVELS), "default": SECRETS},
}  # type: dict[str, Any]


# Keys in the options, and in a kubeconfig that is given as data.
_SECRET_KEYS = frozenset(
    ("api_key", "password", "token", "secret_key", "proxy_basic_auth", "basic_auth", "client-key-data",
     "client-certificate-data", "client-secret", "id-token", "refresh-token", "access-token")
)  # fmt: skip
CONCEALED = marker("own-credential").decode()
_IN_URL = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")


def argument_spec(*groups: dict[str, Any]) -> dict[str, Any]:
    """Merge several groups and the transport kubernetes' authentication options into one argument spec."""
    merged: dict[str, Any] = dict(AUTH_ARG_SPEC)
    for group in groups:
        merged.update(group)
    return merged


def selection_of(params: dict[str, Any], everything: bool = False) -> Selection:
    """Return the selected components. ValueError: the scenario is unknown.

    everything: select all components if the options select none.
    """
    if everything and not params["scenario"] and not params["components"]:
        return select_everything()
    return select(params["scenario"] or "", params["components"])


def transport_of(params: dict[str, Any], connections: int) -> Transport:
    """Return the transport that the options describe. SetupError if it cannot be set up."""
    if params["transport"] == "host":
        from .transports.host.transport import HostTransport

        return HostTransport(cluster=params["cluster"] or "hosts", binary_dirs=params["binary_dirs"])
    if params["transport"] == "keystone":
        from .transports.keystone.login import settings_of
        from .transports.keystone.transport import KeystoneTransport

        return KeystoneTransport(settings_of(params["keystone"] or {}, os.environ), params["cluster"])
    if params["transport"] == "url":
        from .transports.url import UrlTransport

        return UrlTransport(urls_of(params["urls"], params.get("components") or []), params["cluster"])
    from .transports.kubernetes.api import Api
    from .transports.kubernetes.transport import KubernetesTransport

    auth = {name: params[name] for name in AUTH_ARG_SPEC if params.get(name) is not None}
    # An instance uses two connections at a time: its log and its exec session.
    return KubernetesTransport(
        Api(auth, 2 * connections), params["cluster"], params["namespaces"], params["binary_dirs"]
    )


def urls_of(urls: dict[str, Any], named: list[str]) -> dict[str, list[str]]:
    """Return the URLs of each component; a user may give one URL or a list. SetupError.

    named: components that the user selected. A component that is not in the catalog must be among them; otherwise its
    URLs would be ignored.
    """
    found: dict[str, list[str]] = {}
    for name, value in urls.items():
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise SetupError(f"urls of {name}: a URL or a list of URLs is needed")
        component = component_name(name)
        if component not in COMPONENTS and name not in named:
            raise SetupError(f"urls: {no_component(name)}")
        found[component] = [*found.get(component, []), *values]
    if not found:
        raise SetupError("The transport url needs urls: a dictionary of components and their URLs.")
    return found


def instances_of(params: dict[str, Any]) -> list[Instance]:
    """Return the instances in the option `instances`, each once. ValueError if one is malformed."""
    return list(dict.fromkeys(Instance.from_dict(item) for item in params["instances"]))


def secret_values(params: dict[str, Any]) -> list[str]:
    """Return the credentials among the options, in a kubeconfig given as data, and in URLs."""
    return [value for key, value in _texts("", params) if key in _SECRET_KEYS] + [
        found for _key, value in _texts("", params) for found in _IN_URL.findall(value)
    ]


def without_credentials(value: Any, key: str = "") -> Any:
    """Return the options with their credentials replaced, so that they may be shown."""
    if isinstance(value, dict):
        return {name: without_credentials(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [without_credentials(item, key) for item in value]
    if not isinstance(value, str):
        return value
    if key == "kubeconfig" and value and not is_path(value):
        return CONCEALED
    return CONCEALED if key in _SECRET_KEYS and value else _IN_URL.sub(f"://{CONCEALED}@", value)


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every text in a value with the key that it has."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(str(name), item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(key, item)
