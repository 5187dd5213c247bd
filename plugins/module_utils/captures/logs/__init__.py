# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow logs of many instances, and start captures when a pattern matches.

Start with log_watch.py: a watch that ends with a verdict. event_stream.py reports hits without an end, for event
sources. Both use followers.py, instance_cache.py. triggers.py starts captures, liveness.py pings
services, watched_log.py holds one followed log. What lines mean is ../../watch.
"""
