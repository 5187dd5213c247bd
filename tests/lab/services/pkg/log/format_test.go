// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package log

import (
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	when := time.Date(2026, 11, 23, 8, 22, 28, 0, time.FixedZone("east", 8*3600))
	caller := "appsrv.(*SWorkerManager).Run(workers.go:332)"
	cases := []struct {
		name     string
		level    Level
		message  string
		layout   string
		terminal bool
		want     string
	}{
		{"late, in UTC", Info, "ready", Late, false,
			"[info 2026-11-23 00:22:28 " + caller + "] ready\n"},
		{"early, in the local zone", Info, "ready", Early, false,
			"[info 261123 08:22:28 " + caller + "] ready\n"},
		{"a leading [X] is pulled out, the blank before it goes", Warning, "[Pool] BUSY activeWork 1", Late, false,
			"[warning 2026-11-23 00:22:28 " + caller + "]Pool: BUSY activeWork 1\n"},
		{"a [X] further on stays", Warning, "work [x]GET /servers", Late, false,
			"[warning 2026-11-23 00:22:28 " + caller + "] work [x]GET /servers\n"},
		{"an empty [] is no prefix", Info, "[] none", Late, false,
			"[info 2026-11-23 00:22:28 " + caller + "] [] none\n"},
		{"several lines", Info, "[UPDATED]: \na: b", Late, false,
			"[info 2026-11-23 00:22:28 " + caller + "]UPDATED: : \na: b\n"},
		{"terminal", Warning, "hot", Late, true,
			"\x1b[0;33m[W 2026-11-23 00:22:28 " + caller + "]\x1b[0m hot\n"},
		{"terminal with a prefix", Error, "[Pool] hot", Late, true,
			"\x1b[0;31m[E 2026-11-23 00:22:28 " + caller + "]\x1b[0m\x1b[0;36mPool:\x1b[0m hot\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := format(entry{c.level, when, caller, c.message}, c.layout, c.terminal)
			if got != c.want {
				t.Errorf("\ngot  %q\nwant %q", got, c.want)
			}
		})
	}
}
