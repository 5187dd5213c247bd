# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last look at a process of this machine before it is signalled."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host_proc import ProcFs
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host_session import send_usr1
from shapeshifter import shapeshifter

PROCFS = ProcFs()


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("trap - USR1", Reason.USR1_NOT_CAUGHT),
        ("trap '' USR1", Reason.USR1_IGNORED),
        ("exec {} -c 'read x'", Reason.USR1_NOT_CAUGHT),
    ],
)
def test_a_process_that_catches_no_longer_gets_nothing(tmp_path, then, reason):
    with shapeshifter(str(tmp_path / "bin"), then) as shifter:
        seen = PROCFS.process(shifter.pid)
        shifter.shift()
        with pytest.raises(CaptureError) as refused:
            send_usr1(PROCFS, seen)
        assert refused.value.verdict.reason is reason
        assert shifter.alive


def test_a_process_that_still_catches_gets_the_signal(tmp_path):
    with shapeshifter(str(tmp_path / "bin"), ":") as shifter:
        send_usr1(PROCFS, PROCFS.process(shifter.pid))
        assert shifter.alive
