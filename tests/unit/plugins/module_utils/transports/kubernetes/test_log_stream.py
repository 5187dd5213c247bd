# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error texts of kubelets that come where the log should be: no log is made of them, and no signal is sent."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, utc_now
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports import follow as follow_module
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes import transport as kubernetes
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.timestamped_lines import (
    TimestampedLines,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.transport import (
    KubernetesTransport,
)
from kubelet import Kubelet, stamped

from patience import patience

INSTANCE = Instance("c1", "region", "region-a", "cloud", container="region", container_id="containerd://1")
FOLDER = "/var/log/pods/onecloud_default-region-5dc486685c-qrx62_1f0e29fa"
# As kubelets said it: cloudpods#16520, kubernetes#102170, kubernetes#107243, and of the limits of inotify.
TEXTS = {
    "no file": f'failed to try resolving symlinks in path "{FOLDER}/region/0.log": lstat {FOLDER}: no such file or '
    "directory",
    "docker": "unable to retrieve container logs for docker://3c7f1a5e",
    "containerd": "Unable to retrieve container logs for containerd://3c7f1a5e",
    "inotify": "failed to create fsnotify watcher: too many open files",
}
ends = pytest.mark.parametrize("end", ["", "\n"], ids=["as it is", "with an end of line"])
texts = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)

READS = {
    "before the signal": lambda transport: transport.open_log(INSTANCE, Deadline(patience())),
    "after the signal": lambda transport: transport.reopen_log(INSTANCE, utc_now(), Deadline(patience())),
    "for an audit": lambda transport: transport.read_log(INSTANCE, 60, Deadline(patience()), 1000),
}


@pytest.fixture
def kubelet():
    return Kubelet()


@pytest.fixture
def transport(kubelet, monkeypatch):
    monkeypatch.setattr(kubernetes, "FIRST_LINE_SECONDS", 0.05)
    return KubernetesTransport(kubelet, "c1", ["cloud"])


@ends
@texts
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_an_error_text_is_no_log(kubelet, transport, read, text, end):
    kubelet.say("from before the file was gone")
    kubelet.error_text = (text + end).encode()
    with pytest.raises(CaptureError) as refused:
        read(transport)
    assert refused.value.verdict.reason is Reason.LOG_UNAVAILABLE
    assert text in refused.value.verdict.message
    assert kubelet.followed == []


def test_a_log_with_a_line_is_open_and_read_without_stamps(kubelet, transport):
    kubelet.say("first", "newest")
    with transport.open_log(INSTANCE, Deadline(patience())) as log:
        assert log.old_first_line
        data = b""
        while not data.endswith(b"\n"):
            data += log.read()
        assert data == b"newest\n"
    assert transport.read_log(INSTANCE, 60, Deadline(patience()), 1000) == b"first\nnewest\n"
    # The newest line is asked for with its stamp, and no more than of a text that is none.
    assert (kubelet.asked[0]["timestamps"], kubelet.asked[0]["tailLines"]) == ("true", "1")
    assert int(kubelet.asked[0]["limitBytes"]) < 10_000


def test_an_empty_log_is_not_refused(transport):
    assert transport.open_log(INSTANCE, Deadline(patience())) is None


# Lines with stamps, and what comes instead

LINES = stamped("one", 1e9) + stamped("two", 1e9 + 1)


def cut(stream, *places):
    """What TimestampedLines gives of a stream that comes in these parts: the log, and what is none."""
    lines, log = TimestampedLines(), b""
    for begin, end in zip((0, *places), (*places, len(stream)), strict=True):
        log += lines.feed(stream[begin:end])
    log += lines.stop(broken=False)
    return log, lines.foreign


@ends
@pytest.mark.parametrize("before", [b"", LINES], ids=["at once", "behind lines"])
def test_a_text_behind_the_log_is_kept_apart_wherever_it_is_split(before, end):
    text = (TEXTS["docker"] + end).encode()
    stream = before + text
    for place in range(len(stream)):
        assert cut(stream, place) == (before, text)
    assert cut(stream, *range(1, len(stream))) == (before, text)


def test_the_beginning_of_a_line_is_no_text():
    for place in range(len(LINES)):
        log, foreign = cut(LINES[:place])
        assert (log, foreign) == (LINES[: LINES.rfind(b"\n", 0, place) + 1], b"")


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_a_line_too_long_to_be_held_is_the_log_to_its_end(monkeypatch, place):
    monkeypatch.setattr(follow_module, "LONGEST_HELD", 50)
    stream = LINES + stamped("x" * 200, 1e9 + 2) + stamped("after", 1e9 + 3)
    assert cut(stream, *range(20, len(stream), 60)) == (stream, b"")
    assert cut(stream, place) == (stream, b"")
    assert cut(stream + b"no stamp\n", *range(20, len(stream), 60)) == (stream, b"no stamp\n")


def test_what_a_broken_stream_ends_with_is_no_text():
    lines = TimestampedLines()
    lines.feed(LINES + b"no st")
    assert (lines.stop(broken=True), lines.foreign) == (b"", b"")


def test_of_a_text_without_end_only_the_beginning_is_kept():
    lines = TimestampedLines()
    for _number in range(100):
        lines.feed(b"no stamp\n" * 1000)
    assert len(lines.foreign) <= 2000
