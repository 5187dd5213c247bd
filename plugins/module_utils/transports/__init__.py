# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All I/O with targets: the transport interface and its implementations.

base.py is the interface, follow.py what a log follower reports; http_client.py sends one bounded request. kubernetes/,
host/ and keystone/ are the transports, url.py the one for given URLs. Nothing here decides what is captured (captures/)
or what bytes mean (logtext/, status/, stacks/, profiles/). Code here may run on nodes: standard library only, except
lazily imported libraries. Start with base.py.
"""
