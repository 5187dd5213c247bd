# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checked access to the JSON documents of an API server. Pure.

An API server, or a proxy in front of it, may answer anything. Here the type of every field is checked, and every name
by the rules of Kubernetes, so that no other code has to.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from ...json_values import MAX_INTEGER, BadValue, Fields, json_object
from ...model import Instance
from ...reasons import CaptureError, Reason, peer_text
from ...sanitize import clean

# DNS-1123: kubernetes staging/src/k8s.io/apimachinery/pkg/util/validation. Pods and nodes have names of the first form,
# namespaces and containers of the second.
SUBDOMAIN, LABEL = 253, 63
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
# The longest useful text is an image id: a repository of 255 characters, a digest of 71, and a prefix.
MAX_FIELD = 1000
# A token is put into a URL. Real ones have some 200 characters.
MAX_TOKEN = 4096
# A page of 500 pods has some 250,000 values. An empty list of three bytes takes 20 times as much memory.
MAX_VALUES = 2_000_000


def is_name(text: str, longest: int = SUBDOMAIN) -> bool:
    """Return True if Kubernetes allows this name. longest: SUBDOMAIN or LABEL."""
    form = _SUBDOMAIN if longest == SUBDOMAIN else _LABEL
    return len(text) <= longest and form.fullmatch(text) is not None


def pod_path(instance: Instance, pod: str = "") -> str:
    """Return the path of an instance's pod at the API server. pod: its name with scheme and port.

    Raise CaptureError for a name that no pod can have: it would make another path.
    """
    if not is_name(instance.name) or not is_name(instance.namespace, LABEL):
        shown = f"{instance.namespace}/{instance.name}"
        raise CaptureError(Reason.GONE, f"Kubernetes allows no pod of this name: {clean(shown)}")
    return f"/api/v1/namespaces/{quote(instance.namespace, safe='')}/pods/{quote(pod or instance.name, safe=':')}"


def document_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object in the body of an answer. Raise BadValue."""
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise BadValue(f"JSON of more than {MAX_VALUES} values")
    return json_object(body)


def page_of(document: dict[str, Any]) -> tuple[list[Any], str]:
    """Return the items of a page of a list and the token of the next page, "" after the last. Raise BadValue."""
    page = KubernetesFields(document, "the list")
    token = page.inner("metadata").raw_text("continue")
    if len(token) > MAX_TOKEN or not token.isprintable():
        raise BadValue("the list: metadata.continue is not a token")
    return page.items("items"), token


class KubernetesFields(Fields):
    """Fields of one object. A null field counts as missing, and a missing one as empty. All methods raise BadValue."""

    def __contains__(self, name: str) -> bool:
        return self._data.get(name) is not None

    def __bool__(self) -> bool:
        return bool(self._data)

    def called(self, where: str) -> KubernetesFields:
        """Return the same fields with another name in messages."""
        return KubernetesFields(self._data, where)

    def items(self, name: str) -> list[Any]:
        return super().items(name) if name in self else []

    def objects(self, name: str) -> list[KubernetesFields]:
        """Return the objects in a list."""
        return [KubernetesFields(item, f"{self._where}.{name}") for item in self.items(name)]

    def inner(self, name: str) -> KubernetesFields:
        return KubernetesFields(self._data[name] if name in self else {}, f"{self._where}.{name}")

    def raw_text(self, name: str) -> str:
        """Return a text unchanged, of any length."""
        value = self._data.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._bad(name, "text")
        return value

    def text(self, name: str) -> str:
        return peer_text(self.raw_text(name), MAX_FIELD)

    def name(self, key: str, longest: int = SUBDOMAIN) -> str:
        """Return a name that Kubernetes allows."""
        text = self.raw_text(key)
        if not is_name(text, longest):
            raise BadValue(f"{self._where}: {key} is no name that Kubernetes allows: {clean(ascii(text), 100)}")
        return text

    def integer(self, name: str) -> int | None:
        """Return a whole number of 64 bits, None if it is missing."""
        value = self._data.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._bad(name, "a whole number")
        if abs(value) > MAX_INTEGER:
            raise BadValue(f"{self._where}: {name} is out of range")
        return value

    def count(self, name: str) -> int:
        return super().count(name) if name in self else 0

    def flag(self, name: str) -> bool:
        return super().flag(name) if name in self else False
