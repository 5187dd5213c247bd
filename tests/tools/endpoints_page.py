# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page docs/endpoints.md, who is asked what over HTTP, made from the catalog (see docs.py)."""

from __future__ import annotations

import sys

import collection

sys.path.insert(0, str(collection.link()))

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import (
    COMPONENTS,
    ENDPOINTS,
    PATHS,
    Component,
    http_of,
)

HEAD = """# Endpoints

What this collection asks of each component over HTTP: only GET, only these paths, nothing but what reads. The list is
closed: no other path can be requested, whatever is configured. Of `db_stats`, a database may be named
(`/db_stats/<name>`). This page is made by `make docs`.

{table}

A component that is not in this table is asked {unknown} on the first TCP port that its container declares.
These have nothing that could be asked: {silent}.

The service type is that of Keystone's catalog, for the transport `keystone`; a component without one is not in there.
"""


def page() -> str:
    """Return the text of the page, one line for each component that answers."""
    head = ["component", *(f"`{PATHS[name]}`" for name in ENDPOINTS), "port", "service type"]
    rows = [_row(component) for component in COMPONENTS.values() if component.http]
    lines = [head, ["---"] * len(head), *rows]
    default = http_of(Component("of which the catalog knows nothing"), [1])
    silent = [component.name for component in COMPONENTS.values() if component.http is None]
    return HEAD.format(
        table="\n".join("| {} |".format(" | ".join(cells)) for cells in lines),
        unknown=", ".join(f"`{PATHS[name]}`" for name in (default.endpoints if default else ())),
        silent=", ".join(silent),
    )


def _row(component: Component) -> list[str]:
    offered = component.http
    if offered is None:
        raise ValueError(f"{component.name} answers nothing")
    cells = ["yes" if name in offered.endpoints else "-" for name in ENDPOINTS]
    port = f"{offered.port} ({offered.scheme})"
    return [component.name, *cells, port, f"`{offered.service_type}`" if offered.service_type else "-"]
