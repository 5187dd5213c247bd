// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package options

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	cases := []struct {
		args string
		want Options
	}{
		{"", Options{}},
		{"--config /etc/yunion/region.conf", Options{Config: "/etc/yunion/region.conf"}},
		{"--config=/etc/yunion/region.conf", Options{Config: "/etc/yunion/region.conf"}},
		{"-conf /etc/yunion/region-dns.conf", Options{Config: "/etc/yunion/region-dns.conf"}},
		{"--config c --auto-sync-table --exit-after-db-init", Options{Config: "c", AutoSyncTable: true, ExitAfterDBInit: true}},
		{"--common-config-file a --config b", Options{CommonConfig: "a", Config: "b"}},
		{"--config c --is-slave-node", Options{Config: "c", IsSlaveNode: true}},
		{"--log-file-prefix /var/log/region", Options{LogFilePrefix: "/var/log/region"}},
		{"--port 0 --enable-app-profiling", Options{Port: "0", Profiling: true}},
		{"-v", Options{Version: true}},
		{"--version", Options{Version: true}},
	}
	for _, c := range cases {
		got, err := Parse(strings.Fields(c.args))
		if err != nil || got != c.want {
			t.Errorf("%q: got %+v, %v; want %+v", c.args, got, err, c.want)
		}
	}
	for _, bad := range []string{"--nonsense", "config", "version", "--config", "--version=1", "stray"} {
		if got, err := Parse(strings.Fields(bad)); err == nil {
			t.Errorf("%q was taken as %+v", bad, got)
		}
	}
}

func TestReadConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "region.conf")
	text := "port: 30888\nenable_app_profiling: true\nlog_file_prefix: \"/var/log/region\"\nsql_connection: mysql://u:p@h:3306/db\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{}
	if err := o.ReadConfig(path); err != nil {
		t.Fatal(err)
	}
	if want := (Options{LogFilePrefix: "/var/log/region", SQLConnection: "mysql://u:p@h:3306/db", Profiling: true, Port: "30888"}); o != want {
		t.Errorf("got %+v, want %+v", o, want)
	}
	o = Options{LogFilePrefix: "/by/flag"}
	if err := o.ReadConfig(path); err != nil || o.LogFilePrefix != "/by/flag" {
		t.Errorf("the command line must win: %+v, %v", o, err)
	}
	if err := o.ReadConfig(path + ".gone"); err == nil {
		t.Error("a missing file is no error")
	}
}
