// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package log writes log lines in the form of the Cloudpods services:
//
//	[<level> <date time> <pkg.(*Type).Func>(<file.go>:<line>)] <message>
//
// to the standard error, one write an entry, under one mutex.
package log

import (
	"regexp"
	"strings"
	"time"
)

// Layouts of the date. Early is in force until the options were parsed, and always in releases up
// to 3.8; its zone is the machine's, while Late is in UTC.
const (
	Early = "060102 15:04:05"
	Late  = "2006-01-02 15:04:05"
)

// Level is the severity of an entry, as named in the line.
type Level string

const (
	Debug   Level = "debug"
	Info    Level = "info"
	Warning Level = "warning"
	Error   Level = "error"
	Fatal   Level = "fatal"
)

var colours = map[Level]string{
	Debug: "\x1b[0;34m", Info: "\x1b[0;32m", Warning: "\x1b[0;33m", Error: "\x1b[0;31m", Fatal: "\x1b[0;31m",
}

const (
	cyan  = "\x1b[0;36m"
	reset = "\x1b[0m"
)

// entry holds the parts of a line.
type entry struct {
	level   Level
	when    time.Time
	caller  string
	message string
}

// The services take a leading [X] out of a message, and with it the blank that followed it.
var leading = regexp.MustCompile(`^\[(.*?)\]`)

func cutPrefix(message string) (prefix, rest string) {
	match := leading.FindString(message)
	if len(match) <= len("[]") {
		return "", message
	}
	return match[1 : len(match)-1], strings.TrimSpace(message[len(match):])
}

// format returns the line of an entry, with its end. On a terminal it is coloured and the level is
// one letter.
func format(e entry, layout string, terminal bool) string {
	prefix, message := cutPrefix(e.message)
	when := e.when
	if layout == Late {
		when = when.UTC()
	}
	level, colour, uncolour, lead := string(e.level), "", "", " "
	if prefix != "" {
		lead = prefix + ": "
	}
	if terminal {
		level, colour, uncolour = strings.ToUpper(level[:1]), colours[e.level], reset
		if prefix != "" {
			lead = cyan + prefix + ":" + reset + " "
		}
	}
	return colour + "[" + level + " " + when.Format(layout) + " " + e.caller + "]" + uncolour + lead + message + "\n"
}
