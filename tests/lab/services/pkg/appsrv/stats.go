// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package appsrv

import (
	"sync"
	"time"
)

// Counters are the responses of one path, or of all, by class of status: their number, and their total
// duration in milliseconds. The keys of the services have a dot in them.
type Counters struct {
	Duration2XX float64 `json:"duration.2XX"`
	Duration4XX float64 `json:"duration.4XX"`
	Duration5XX float64 `json:"duration.5XX"`
	Hit2XX      int     `json:"hit.2XX"`
	Hit4XX      int     `json:"hit.4XX"`
	Hit5XX      int     `json:"hit.5XX"`
}

func (c *Counters) add(status int, took time.Duration) {
	ms := float64(took) / float64(time.Millisecond)
	switch {
	case status < 400:
		c.Hit2XX++
		c.Duration2XX += ms
	case status < 500:
		c.Hit4XX++
		c.Duration4XX += ms
	default:
		c.Hit5XX++
		c.Duration5XX += ms
	}
}

func (c *Counters) merge(other Counters) {
	c.Hit2XX += other.Hit2XX
	c.Hit4XX += other.Hit4XX
	c.Hit5XX += other.Hit5XX
	c.Duration2XX += other.Duration2XX
	c.Duration4XX += other.Duration4XX
	c.Duration5XX += other.Duration5XX
}

// PathStats is a path's entry in /stats.
type PathStats struct {
	Counters
	Method string `json:"method"`
	Name   string `json:"name"`
	Path   string `json:"path"`
}

// Stats is the body of /stats.
type Stats struct {
	Counters
	Paths []PathStats `json:"paths"`
}

// counted is a handler with its counters.
type counted struct {
	lock sync.Mutex
	PathStats
}

func (c *counted) count(status int, took time.Duration) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.add(status, took)
}

// Stats sums up all requests since the start.
func (app *Application) Stats() Stats {
	stats := Stats{Paths: make([]PathStats, 0, len(app.routes))}
	for _, route := range app.routes {
		route.lock.Lock()
		stats.Paths = append(stats.Paths, route.PathStats)
		stats.merge(route.Counters)
		route.lock.Unlock()
	}
	return stats
}
