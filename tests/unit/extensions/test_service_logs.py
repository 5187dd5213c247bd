# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event source as ansible-rulebook runs it: a file with a coroutine main(queue, args)."""

from __future__ import annotations

import asyncio
import os
import runpy
import sys
import threading
from pathlib import Path

import pytest
import yaml

from patience import patience, wait_until
from workspace import ROOT

sys.path.insert(0, str(ROOT / "tests/unit/plugins/module_utils/captures"))
sys.path.insert(0, str(ROOT / "tests/unit/plugins/module_utils/transports"))

from scripted import FULL, Cloud

PLUGIN = Path("extensions", "eda", "plugins", "event_source", "service_logs.py")


@pytest.fixture(scope="module")
def plugin():
    installed = Path(os.environ["ANSIBLE_COLLECTIONS_PATH"], "ansible_collections", "cloudpods", "diagnostics")
    return runpy.run_path(str(installed / PLUGIN))


@pytest.fixture
def cloud(plugin, monkeypatch):
    made = Cloud()
    monkeypatch.setattr(plugin["arguments"], "transport_of", lambda _params, _connections: made)
    return made


async def appears(cloud: Cloud, name: str):
    return await asyncio.to_thread(wait_until, f"{name} to be followed", lambda: cloud.follows.get(name))


def test_sends_hits_as_events_and_cleans_up_after_cancellation(plugin, cloud):
    cloud.add("region", "region-1")
    before = set(threading.enumerate())

    async def run() -> dict:
        events = asyncio.Queue()
        source = asyncio.create_task(plugin["main"](events, {"eda_feedback_queue": asyncio.Queue()}))
        (await appears(cloud, "region-1")).say(FULL.format(pool="A"))
        event = await asyncio.wait_for(events.get(), patience())
        source.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(source, patience())
        assert events.empty()
        return event

    event = asyncio.run(run())
    assert (event["kind"], event["pattern"], event["pool"], event["instance"]) == ("hit", "queue_full", "A", "region-1")
    wait_until("all its threads to end", lambda: set(threading.enumerate()) <= before)


def test_limits_pending_events_if_the_rulebook_reads_none(plugin, cloud, caplog):
    """Count further events when too many are pending."""
    cloud.add("region", "region-1")

    class Full(asyncio.Queue):
        async def put(self, item):
            taken.append(item)
            await asyncio.Event().wait()

    taken: list = []

    async def run() -> None:
        source = asyncio.create_task(plugin["main"](Full(), {}, max_waiting=3))
        script = await appears(cloud, "region-1")
        script.say(*[FULL.format(pool=f"P{number}") for number in range(10)])
        await asyncio.to_thread(wait_until, "six to be dropped", lambda: "6 were dropped" in caplog.text)
        source.cancel()
        with pytest.raises(asyncio.CancelledError):
            await source

    asyncio.run(run())
    assert [event["pool"] for event in taken] == ["P0"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"component": ["region"]}, "there is no option component; there are .*components"),
        ({"cooldown": "soon"}, "cooldown"),
        ({"cooldown": -1}, "cooldown is -1.0. It has to be"),
        ({"severity": "bad"}, "severity"),
        ({"scenario": "none"}, "none"),
        ({"patterns": [{"id": "x"}]}, "texts"),
        ({"transport": "keystone"}, "transport"),
    ],
)
@pytest.mark.usefixtures("cloud")
def test_wrong_options_end_the_source_with_their_names(plugin, args, said):
    with pytest.raises(ValueError, match=said):
        asyncio.run(asyncio.wait_for(plugin["main"](asyncio.Queue(), args), patience()))


def test_failed_watch_ends_the_source(plugin, cloud, monkeypatch):
    def broken(_selection, _deadline):
        raise ZeroDivisionError("by 0")

    monkeypatch.setattr(cloud, "discover", broken)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(asyncio.wait_for(plugin["main"](asyncio.Queue(), {}), patience()))


def test_documentation_lists_all_options(plugin):
    spec = {**plugin["arguments"].SELECTION, **plugin["arguments"].TRANSPORT, **plugin["WATCH"]}
    told = yaml.safe_load(plugin["DOCUMENTATION"])["options"]
    assert set(told) - {"kubeconfig"} == set(spec)
    for name, option in spec.items():
        assert told[name]["type"] == option["type"], name
        assert told[name].get("choices") == option.get("choices"), name
        assert (told[name].get("default") or "") == (option.get("default") or ""), name


def test_example_is_a_rulebook_of_this_source(plugin):
    (ruleset,) = yaml.safe_load(plugin["EXAMPLES"])
    (source,) = ruleset["sources"]
    plugin["checked"](source["cloudpods.diagnostics.service_logs"])
