// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package behaviour

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	got, err := Parse("usr1=restart restart_after=2s log_rate=300 log_hostile=true dump_pause=forever stderr=/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.USR1, want.RestartAfter, want.LogRate, want.LogHostile = "restart", 2*time.Second, 300, true
	want.DumpPause, want.Stderr = Forever, "/dev/null"
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, err := Parse(" "); err != nil || got != Default() {
		t.Errorf("nothing planted: %+v, %v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"log_rat=3", "log_rate", "log_rate=", "log_rate=-1", "log_rate=many", "usr1=die", "init=",
		"trap_delay=5", "death=old-age", "db_story=", "db_story=locked", "db_story=angry:5s", "http_fault_not=/ping",
		"trap_delay=-5s", "log_hostile=perhaps",
	} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q was taken as %+v", text, got)
		}
	}
}
