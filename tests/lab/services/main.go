// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command services imitates the services of a Cloudpods cloud as far as a diagnosis from outside
// can observe them. The base name of its executable selects the service, and the environment
// variable STANDIN its faults; see README.md.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"cloudpods.lab/services/pkg/behaviour"
	"cloudpods.lab/services/pkg/faults"
	"cloudpods.lab/services/pkg/log"
	"cloudpods.lab/services/pkg/options"
	"cloudpods.lab/services/pkg/role"
	"cloudpods.lab/services/pkg/version"
)

func main() {
	executable, err := os.Executable()
	if err != nil {
		refuse(err)
	}
	r := role.Of(filepath.Base(executable))
	b, err := behaviour.FromEnv()
	if err != nil {
		refuse(err)
	}
	if b.Stderr != "" {
		if err := faults.ReplaceStderr(b.Stderr); err != nil {
			refuse(err)
		}
	}
	switch r.Kind {
	case role.Hung:
		time.Sleep(behaviour.Forever)
	case role.Nginx: // its arguments are ignored, and its log has another format
		serveNginx(r, b)
	default:
		run(r, b, parse(r, b))
	}
}

// refuse ends a stand-in with invalid settings.
func refuse(err error) {
	fmt.Fprintln(os.Stderr, "standin:", err)
	os.Exit(2)
}

// parse reads the command line; if it asks for the version only, it prints that and exits.
func parse(r role.Role, b behaviour.Behaviour) options.Options {
	if r.Kind == role.Caddy && len(os.Args) == 2 && os.Args[1] == "-v" {
		fmt.Fprintln(os.Stderr, "flag provided but not defined: -v")
		os.Exit(2)
	}
	o, err := options.Parse(os.Args[1:])
	if err != nil {
		log.Fatalf("Parse arguments error: %v", err)
	}
	if o.Version {
		printVersion(r, b)
		os.Exit(0)
	}
	return o
}

// chatty components write log lines before they print their version.
var chatty = map[string]bool{"region-dns": true, "glance": true, "webconsole": true, "host-deployer": true}

func printVersion(r role.Role, b behaviour.Behaviour) {
	if chatty[r.Name] {
		log.Infof("Register driver for %s", r.Name)
	}
	resident := make([]byte, b.VersionAlloc<<20)
	for i := 0; i < len(resident); i += 4096 {
		resident[i] = 1
	}
	time.Sleep(b.VersionSleep)
	info := version.Get(b.VersionBranch, b.VersionCommit)
	text, err := info.Text()
	switch r.Kind {
	case role.Climc:
		text, err = info.ClientText()
	case role.Caddy:
		text = info.DNSText()
	}
	if err == nil {
		_, err = os.Stdout.WriteString(text)
	}
	if err != nil || len(resident) > 0 && resident[0] != 1 {
		refuse(fmt.Errorf("version: %v", err))
	}
}
