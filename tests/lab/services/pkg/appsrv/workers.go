// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package appsrv is the HTTP framework of the services: worker pools with their queues, the clients
// that wait for them, the default handlers, and the counters behind those.
package appsrv

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"cloudpods.lab/services/pkg/log"
)

// Number of queued tasks from which on a pool without a free worker logs that it is busy, and that its
// oldest task is stuck.
const (
	busyQueue  = 10
	stuckQueue = 50
)

// IWorkerTask is the task of a worker. Dump names it in the log.
type IWorkerTask interface {
	Run(worker *SWorker)
	Dump() string
}

// SWorkerManager is a pool of up to max workers with a queue of max × backlog tasks. A worker is a
// goroutine that lives as long as it has tasks.
type SWorkerManager struct {
	name          string
	max, backlog  int
	dbWorker      bool
	allowOverflow bool
	hidesStuck    bool // releases up to 3.10 never get to that message
	lock          sync.Mutex
	queue         []IWorkerTask
	active        []*SWorker // oldest first
	detached      map[*SWorker]struct{}
	started       int // workers so far
	busyCycles    int // of the watchdog
}

// SWorker is one worker of a pool.
type SWorker struct {
	id      int
	manager *SWorkerManager
	task    IWorkerTask
	start   time.Time // of its task
}

// NewWorkerManager returns a pool without workers.
func NewWorkerManager(name string, max, backlog int) *SWorkerManager {
	return &SWorkerManager{name: name, max: max, backlog: backlog, detached: map[*SWorker]struct{}{}}
}

func (wm *SWorkerManager) String() string { return wm.name }

// Run queues a task and reports whether there was room for it.
func (wm *SWorkerManager) Run(task IWorkerTask) bool {
	wm.lock.Lock()
	defer wm.lock.Unlock()
	if len(wm.queue) >= wm.max*wm.backlog && !wm.allowOverflow {
		log.Warningf("[%s] queue full, task dropped", wm.name)
		return false
	}
	wm.queue = append(wm.queue, task)
	wm.scheduleWithLock()
	return true
}

// scheduleWithLock starts a worker if the pool may have one more, else logs that it may not.
func (wm *SWorkerManager) scheduleWithLock() {
	if len(wm.queue) == 0 {
		return
	}
	if len(wm.active) < wm.max {
		wm.started++
		worker := &SWorker{id: wm.started, manager: wm}
		wm.active = append(wm.active, worker)
		worker.takeWithLock()
		go worker.run()
		return
	}
	switch queued := len(wm.queue); {
	case queued > stuckQueue && !wm.hidesStuck:
		oldest := wm.active[0]
		log.Warningf("work [%s]%s stucking for a while", oldest.start, oldest.task.Dump())
	case queued > busyQueue:
		log.Warningf("[%s] BUSY activeWork %d detachedWork %d max %d queue: %d",
			wm.name, len(wm.active), len(wm.detached), wm.max, queued)
	}
}

func (worker *SWorker) takeWithLock() {
	wm := worker.manager
	worker.task, worker.start = wm.queue[0], time.Now()
	wm.queue[0] = nil
	wm.queue = wm.queue[1:]
}

func (worker *SWorker) run() {
	for more := true; more; more = worker.next() {
		worker.exec()
	}
}

// exec does the task; a panic in it is logged and ends the task only.
func (worker *SWorker) exec() {
	defer func() {
		if failed := recover(); failed != nil {
			log.Errorf("WorkerManager exec callback error: %s\n%s", failed, debug.Stack())
		}
	}()
	execCallback(worker)
}

func execCallback(worker *SWorker) { worker.task.Run(worker) }

// next gives the worker its next task; without one, or if it was detached, the worker ends.
func (worker *SWorker) next() bool {
	wm := worker.manager
	wm.lock.Lock()
	defer wm.lock.Unlock()
	if _, gone := wm.detached[worker]; gone {
		delete(wm.detached, worker)
		return false
	}
	wm.dropWithLock(worker)
	if len(wm.queue) == 0 {
		return false
	}
	wm.active = append(wm.active, worker)
	worker.takeWithLock()
	return true
}

func (wm *SWorkerManager) dropWithLock(worker *SWorker) bool {
	for i, each := range wm.active {
		if each == worker {
			wm.active = append(wm.active[:i:i], wm.active[i+1:]...)
			return true
		}
	}
	return false
}

// Detach takes a worker out of the count of its pool, which makes room for another one. Its
// goroutine goes on with its task. A worker that has just finished is left alone.
func (worker *SWorker) Detach(task IWorkerTask, reason string) {
	wm := worker.manager
	wm.lock.Lock()
	defer wm.lock.Unlock()
	if worker.task != task || !wm.dropWithLock(worker) {
		return
	}
	wm.detached[worker] = struct{}{}
	// Like the services: the worker's own name has its task, too, and nothing names the pool.
	name := fmt.Sprintf("#%d(%p, detach) %s", worker.id, worker, task.Dump())
	log.Warningf("detach worker %s(%s) due to reason %s after %s", name, task.Dump(), reason, time.Since(worker.start))
	wm.scheduleWithLock()
}

// WorkerState is a pool's entry in /worker_stats.
type WorkerState struct {
	Active        int    `json:"active_worker_cnt"`
	AllowOverflow bool   `json:"allow_overflow"`
	Backlog       int    `json:"backlog"`
	DBWorker      bool   `json:"db_worker"`
	Detached      int    `json:"detach_worker_cnt"`
	Max           int    `json:"max_worker_cnt"`
	Name          string `json:"name"`
	Queue         int    `json:"queue_cnt"`
}

// State counts a pool's workers and tasks.
func (wm *SWorkerManager) State() WorkerState {
	wm.lock.Lock()
	defer wm.lock.Unlock()
	return WorkerState{
		Active: len(wm.active), AllowOverflow: wm.allowOverflow, Backlog: wm.backlog, DBWorker: wm.dbWorker,
		Detached: len(wm.detached), Max: wm.max, Name: wm.name, Queue: len(wm.queue),
	}
}
