# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import path of service_lines and watch_helpers, and a check of every watcher's document against its schema."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher

sys.path.insert(0, str(Path(__file__).parent))

SCHEMA = json.loads((Path(__file__).parents[5] / "docs" / "schemas" / "log.schema.json").read_text())
INSTANCE = {"cluster": "c1", "component": "region", "name": "region-1", "state": "running"}


@pytest.fixture(autouse=True, scope="session")
def schema_of_documents() -> Iterator[None]:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    plain = LogWatcher.document

    def document(self, *arguments, **named):
        made = plain(self, *arguments, **named)
        # The capture adds the instance to the document in the file.
        validator.validate(json.loads(json.dumps({"instance": INSTANCE, **made})))
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LogWatcher, "document", document)
        yield
