// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package appsrv is the worker pool of the services, and the clients that wait for it.
package appsrv

import (
	"time"

	"cloudpods.lab/services/pkg/log"
)

// SWorkerManager is a pool of max workers with a queue of max × backlog tasks.
type SWorkerManager struct {
	name    string
	max     int
	queue   chan func()
	started chan struct{}
}

// SWorker is one of them.
type SWorker struct{ manager *SWorkerManager }

// NewWorkerManager starts a pool.
func NewWorkerManager(name string, max, backlog int) *SWorkerManager {
	wm := &SWorkerManager{name: name, max: max, queue: make(chan func(), max*backlog), started: make(chan struct{}, max)}
	for i := 0; i < max; i++ {
		go (&SWorker{wm}).run()
	}
	return wm
}

func (worker *SWorker) run() {
	for task := range worker.manager.queue {
		worker.manager.started <- struct{}{}
		execCallback(task)
		<-worker.manager.started
	}
}

func execCallback(task func()) { task() }

// Run queues a task and reports whether there was room for it.
func (wm *SWorkerManager) Run(task func()) bool {
	select {
	case wm.queue <- task:
	default:
		log.Warningf("[%s] queue full, task dropped", wm.name)
		return false
	}
	if queued := len(wm.queue); len(wm.started) == wm.max {
		if queued > 50 {
			log.Warningf("work [%s]GET /servers stucking for a while", time.Now())
		} else if queued > 10 {
			log.Warningf("[%s] BUSY activeWork %d detachedWork 0 max %d queue: %d", wm.name, wm.max, wm.max, queued)
		}
	}
	return true
}

type responseWriterChannel struct{ done chan struct{} }

func (w *responseWriterChannel) wait() { <-w.done }

type appTask struct{ handler func() }

func (t *appTask) Run() { t.handler() }

// Serve does what the goroutine of one client does: queue the request and wait for its end.
func (wm *SWorkerManager) Serve(handler func()) {
	w := &responseWriterChannel{make(chan struct{})}
	task := &appTask{handler}
	if wm.Run(func() { task.Run(); close(w.done) }) {
		w.wait()
	}
}
