# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Error texts of kubelets in place of the log: they are no log, and then no signal is sent."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, utc_now
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.transport import (
    KubernetesTransport,
)
from kubelet import Kubelet

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
def transport(kubelet):
    return KubernetesTransport(kubelet, "c1", ["cloud"], first_line_seconds=0.05)


@ends
@texts
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_refuses_error_text_in_place_of_log(kubelet, transport, read, text, end):
    kubelet.say("from before the file was gone")
    kubelet.error_text = (text + end).encode()
    with pytest.raises(CaptureError) as refused:
        read(transport)
    assert refused.value.verdict.reason is Reason.LOG_UNAVAILABLE
    assert text in refused.value.verdict.message
    assert kubelet.followed == []


def test_reads_log_without_timestamps_after_checking_them(kubelet, transport):
    kubelet.say("first", "newest")
    with transport.open_log(INSTANCE, Deadline(patience())) as log:
        assert log.old_first_line
        data = b""
        while not data.endswith(b"\n"):
            data += log.read()
        assert data == b"newest\n"
    assert transport.read_log(INSTANCE, 60, Deadline(patience()), 1000) == b"first\nnewest\n"
    # The newest line is requested with its timestamp, and only as much of it as of an error text.
    assert (kubelet.asked[0]["timestamps"], kubelet.asked[0]["tailLines"]) == ("true", "1")
    assert int(kubelet.asked[0]["limitBytes"]) < 10_000


def test_accepts_empty_log(transport):
    assert transport.open_log(INSTANCE, Deadline(patience())) is None
