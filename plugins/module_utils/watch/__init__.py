# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log watching: the log of one instance in, hits and a verdict out.

No I/O here, and only throttle.py has a clock. captures/logs reads the logs and collects the signs of life.
watcher.py drives the rest: log_line.py parses lines and matches the patterns of log_patterns.py, pools.py keeps the
state of worker pools, pool_rules.py and instance_rules.py judge it, and verdicts.py combines the findings.
Start with watcher.py, or with a rule in pool_rules.py.
"""
