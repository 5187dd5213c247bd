// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package options parses the command lines that the operator gives to the services, and the few
// lines of their configuration files that change what a capture sees.
package options

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Options is the result of parsing.
type Options struct {
	Version         bool
	Config          string // path of the configuration file, empty for none
	CommonConfig    string
	AutoSyncTable   bool
	ExitAfterDBInit bool
	IsSlaveNode     bool
	LogFilePrefix   string
	SQLConnection   string
	Profiling       bool   // pprof
	Port            string // empty: the component's own; 0: any
	SSLCertfile     string // empty: a generated one
	SSLKeyfile      string
}

// Parse reads the arguments of the component name, without the program's own name. An option that
// takes a value takes it as the next word or after "=". Unknown options are errors.
func Parse(args []string) (Options, error) {
	var o Options
	var discarded string
	values := map[string]*string{
		"config": &o.Config, "conf": &o.Config, "common-config-file": &o.CommonConfig,
		"log-file-prefix": &o.LogFilePrefix, "log-level": &discarded, "sql-connection": &o.SQLConnection,
		"address": &discarded, "port": &o.Port, "scheduler-port": &o.Port, "region": &discarded, "edition": &discarded,
		"ssl-certfile": &o.SSLCertfile, "ssl-keyfile": &o.SSLKeyfile,
	}
	flags := map[string]*bool{
		"version": &o.Version, "v": &o.Version, "auto-sync-table": &o.AutoSyncTable,
		"exit-after-db-init": &o.ExitAfterDBInit, "is-slave-node": &o.IsSlaveNode,
		"enable-ssl": new(bool), "enable-app-profiling": &o.Profiling,
	}
	for i := 0; i < len(args); i++ {
		name, value, attached := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if flag := flags[name]; flag != nil && args[i] != name && !attached {
			*flag = true
			continue
		}
		to := values[name]
		if to == nil || args[i] == name {
			return o, fmt.Errorf("unknown argument %q", args[i])
		}
		if !attached {
			i++
			if i == len(args) {
				return o, fmt.Errorf("option %q needs a value", name)
			}
			value = args[i]
		}
		*to = value
	}
	return o, nil
}

// FindConfig sets Config to <component>.conf in ./etc or /etc/yunion if there is one and none was
// named.
func (o *Options) FindConfig(component string) {
	for _, folder := range []string{"./etc", "/etc/yunion"} {
		path := filepath.Join(folder, component+".conf")
		if _, err := os.Stat(path); err == nil && o.Config == "" {
			o.Config = path
		}
	}
}

// ReadConfig takes the known top-level "key: value" lines from a configuration file, for options
// that the command line did not set.
func (o *Options) ReadConfig(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var profiling string
	known := map[string]*string{
		"log_file_prefix": &o.LogFilePrefix, "sql_connection": &o.SQLConnection, "port": &o.Port,
		"scheduler_port": &o.Port, "ssl_certfile": &o.SSLCertfile, "ssl_keyfile": &o.SSLKeyfile,
		"enable_app_profiling": &profiling,
	}
	for _, line := range strings.Split(string(data), "\n") {
		key, value, found := strings.Cut(line, ":")
		if to := known[key]; found && to != nil && *to == "" {
			*to = strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	o.Profiling = o.Profiling || profiling == "true"
	return nil
}
