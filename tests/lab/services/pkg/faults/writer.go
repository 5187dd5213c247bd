// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package faults has the faults of writing a dump.
package faults

import (
	"io"
	"time"
)

// Counter counts the bytes and calls of a writer.
type Counter struct{ Bytes, Writes int }

func (c *Counter) Write(p []byte) (int, error) {
	c.Bytes += len(p)
	c.Writes++
	return len(p), nil
}

// Pausing passes all writes on, and stops once for Pause before the first write after the first
// After bytes.
type Pausing struct {
	To    io.Writer
	After int
	Pause time.Duration
}

func (p *Pausing) Write(data []byte) (int, error) {
	if p.After <= 0 && p.Pause > 0 {
		time.Sleep(p.Pause)
		p.Pause = 0
	}
	p.After -= len(data)
	return p.To.Write(data)
}
