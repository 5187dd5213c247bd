# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches of logs that are written faster than they are read: bounded memory, and gaps for skipped lines."""

from __future__ import annotations

import itertools
import json
import re
import statistics
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.gaps import GAP_SECONDS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.timestamps import timestamp_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Gap, Lines
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.api import Api
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.continuity_steps import (
    PodFollowLimits,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.transport import (
    KubernetesTransport,
)
from deploy.apply import Cluster
from watching import LOGS, NUMBER, Speakers, Watching, moment_of
from world import World

from patience import patience, wait_until

# Write as fast as possible for this number of seconds. After each block log a lost task, with a number; after the flood
# only that.
FLOOD_SECONDS, BLOCK_BYTES = 12, 1 << 20
FLOOD = """
cd /said; line="[info 2026-11-25 10:00:00 flood.go:1] $(head -c 900 /dev/zero | tr '\\0' x)"
yes "$line" | head -c {block} > block; n=0; end=$(($(date +%s) + {seconds}))
while [ $(date +%s) -lt $end ]; do
  cat block >&2
  echo "\n[error 2026-11-25 10:00:00 appsrv.(*W).Run(workers.go:266)]P: queue full, task dropped #$n" >&2
  n=$((n + 1))
done
echo $n > new; mv new n
while true; do
  echo "[error 2026-11-25 10:00:00 appsrv.(*W).Run(workers.go:266)]P: queue full, task dropped #$n" >&2
  n=$((n + 1)); usleep 200000
done
"""
# A reader that lags this far and does not catch up skips to the newest line. The product's limits are larger.
LIMITS = PodFollowLimits(lag=5.0, catch_up=1.0)
# Upper bound for the memory of the watch and of the rest of this process.
MEMORY_BYTES = 100 << 20
# If a log had to wait for the reader of the flood, it would be as late as the flood.
LATENESS_RATIO = 3
# Numbered lines that soon fill all buffers if the reader stops.
COUNTER = """
pad=$(head -c 10000 /dev/zero | tr '\\0' x); n=0
while true; do echo "$pad #$n" >&2; n=$((n + 1)); usleep 2000; done
"""
# Lines to read before the reader stalls, and the time to read after it, by the timestamps of the lines.
LINES_BEFORE, SECONDS_AFTER = 100, 10


@pytest.fixture
def speakers(world: World, cluster: Cluster) -> Iterator[Speakers]:
    made = Speakers(world, cluster)
    yield made
    made.close()


def read_with_a_stall(
    transport: KubernetesTransport, stall: Callable[[], float]
) -> tuple[list[tuple[int, float]], list[Gap]]:
    """Read the only log, once interrupted by `stall`; return its numbers with their timestamps, and its gaps."""
    said: list[tuple[int, float]] = []
    gaps: list[Gap] = []
    until = float("inf")
    (instance,) = discover(transport, select("", ["region"]), Deadline(patience())).instances
    with transport.follow_log(instance, 0, lambda _deadline: instance, Deadline(patience(400))) as follower:
        for event in follower.events():
            if isinstance(event, Gap):
                gaps.append(event)
            if isinstance(event, Lines):
                lines = event.data.splitlines()
                said += [(int(NUMBER.search(line.decode())[1]), timestamp_of(line).moment) for line in lines]
                if until == float("inf") and len(said) >= LINES_BEFORE:
                    until = stall() + SECONDS_AFTER
                if said[-1][1] > until:
                    break
    return said, gaps


def test_reports_lines_skipped_by_the_kubelet_as_gap_and_drops_repeated_lines(world, speakers):
    """Read more slowly than the log rotates: the kubelet skips to the newest file, and sends it again."""
    files = f"{LOGS}/{speakers.namespace}_region-stall_[^ ]*"
    # The kubelet's open file is rotated, then compressed and removed, because another one is rotated after it.
    is_behind = f"ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c '{files} (deleted)$'; true"

    def stall() -> float:
        wait_until("the kubelet to be two files behind", lambda: int(speakers.on_node(is_behind)), 180)
        return float(speakers.on_node("date +%s.%N"))

    world.lab("kubelet", speakers.node, "--container-log-max-size", "64Ki")
    transport = KubernetesTransport(Api({"kubeconfig": world.kubeconfig}, 4), "c1", [speakers.namespace])
    try:
        speakers.run("region-stall", COUNTER)
        speakers.await_running("region-stall")
        said, gaps = read_with_a_stall(transport, stall)
    finally:
        transport.close()
        world.lab("kubelet", speakers.node)
    numbers = [number for number, _moment in said]
    assert numbers == sorted(set(numbers)), "some line came twice, or out of order"
    # Shorter gaps are the unread end of a file that the kubelet leaves: no timestamp shows it (docs/watching.md).
    left_out = [
        (before, after)
        for before, after in itertools.pairwise(said)
        if after[0] != before[0] + 1 and after[1] - before[1] >= GAP_SECONDS
    ]
    print(f"{len(said)} lines, left out: {left_out}, gaps: {gaps}")
    assert left_out, "nothing was left out: the test shows nothing"
    for (_number, since), (_next, until) in left_out:
        # containerd cuts a line in two if it reopens the file in the middle of it, and marks the first part as partial.
        # The kubelet, which continues with a later file, sends the first line of that one as the rest of it, without a
        # timestamp (isNewLine in k8s.io/cri-client/pkg/logs). So the gap begins with the joined line.
        joined = any(gap.since == until for gap in gaps)
        covered = any(gap.since <= since and until <= gap.until for gap in gaps)
        assert covered or joined, f"{since} to {until}: {gaps}"


def test_flood_is_read_or_sampled_without_delaying_other_logs(world, speakers, tmp_path):
    speakers.speak("region-quiet", pause=100_000)
    speakers.await_running("region-quiet")
    watching = Watching(world, tmp_path, speakers.namespace, limits=LIMITS)
    watching.until(1)
    before = resident()
    speakers.run("region-flood", FLOOD.format(seconds=FLOOD_SECONDS, block=BLOCK_BYTES))
    speakers.await_running("region-flood")
    written = int(
        wait_until("the end of the flood", lambda: speakers.shell("region-flood", "cat /said/n", check=False), 180)
    )
    heard = watching.heard["region-flood"]
    wait_until("it to be up to date", lambda: heard and heard[-1][0] >= written, 180)
    grown = resident() - before
    watching.end()
    followers = [thread.name for thread in threading.enumerate() if thread.name.startswith("log-region")]
    log = json.loads(next(tmp_path.rglob("region-flood/log.json")).read_text(encoding="utf-8"))
    quiet = watching.heard["region-quiet"]
    behind = max(at - moment for _number, moment, at in heard)
    during = [at - moment for _number, moment, at in quiet if heard[0][1] <= moment <= heard[-1][1]]
    late = statistics.median(during)
    print(
        f"{written * BLOCK_BYTES / 1e6 / FLOOD_SECONDS:.0f} MB/s for {FLOOD_SECONDS} s; {len(heard)} of {heard[-1][0]}"
        f" hits, {behind:.1f} s late; memory +{grown / 1e6:.0f} MB; neighbour {late:.1f} s late; {log['gaps']}"
    )
    assert grown < MEMORY_BYTES
    assert followers == [], "reading went on after the end of the watch"
    assert [number for number, _moment, _at in quiet] == list(range(quiet[-1][0] + 1))
    assert late < behind / LATENESS_RATIO
    numbers = [number for number, _moment, _at in heard]
    assert numbers == sorted(set(numbers))
    gaps = [(moment_of(gap["since"]), moment_of(gap["until"])) for gap in log["gaps"]]
    for (number, since, _at), (following, _moment, _heard) in itertools.pairwise(heard):
        # A document has whole seconds.
        seen = following == number + 1 or any(begin <= since + 1 and since < end for begin, end in gaps)
        assert seen, f"{number} to {following}: {log['gaps']}"


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1])
