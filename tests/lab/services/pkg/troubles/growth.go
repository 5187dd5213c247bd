// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package troubles

import (
	"fmt"
	"hash/crc32"
	"sort"
	"sync"
	"time"

	"cloudpods.lab/services/pkg/appsrv"
	"cloudpods.lab/services/pkg/behaviour"
)

// grow starts everything that grows, or uses processor time, continuously.
func grow(b behaviour.Behaviour) {
	cacheImages(b.Heap)
	if b.HeapGrowth > 0 {
		go every(b.HeapGrowth, func() {
			if b.HeapMost == 0 || len(images) < b.HeapMost {
				cacheImages(1)
			}
		})
	}
	if b.Leak > 0 {
		go every(b.Leak, func() { go leakedListener() })
	}
	if b.Spin > 0 {
		go spin(b.Spin)
	}
	for i := 0; i < b.Contend; i++ {
		go contend()
	}
}

// every calls a function this number of times a second.
func every(perSecond int, call func()) {
	for range time.Tick(time.Second / time.Duration(perSecond)) {
		call()
	}
}

var images [][]byte

// cacheImages allocates memory, and touches it so that it is resident.
//
//go:noinline
func cacheImages(mebibytes int) {
	for ; mebibytes > 0; mebibytes-- {
		image := make([]byte, 1<<20)
		for i := 0; i < len(image); i += 4096 {
			image[i] = 1
		}
		images = append(images, image)
	}
}

//go:noinline
func leakedListener() { <-never }

// spin keeps one processor busy for a part of the time: three quarters of it in one function, one in
// another.
func spin(percent int) {
	const period = 20 * time.Millisecond
	busy := period * time.Duration(percent) / 100
	for {
		began := time.Now()
		hashBlocks(began.Add(busy * 3 / 4))
		sortRows(began.Add(busy))
		time.Sleep(time.Until(began.Add(period)))
	}
}

var block, checksum = make([]byte, 16<<10), uint32(0)

//go:noinline
func hashBlocks(until time.Time) {
	for time.Now().Before(until) {
		checksum = crc32.Update(checksum, crc32.IEEETable, block)
	}
}

var rows = make([]int, 256)

//go:noinline
func sortRows(until time.Time) {
	for time.Now().Before(until) {
		for i := range rows {
			rows[i] = (i * 7919) % 256
		}
		sort.Ints(rows)
	}
}

var contended sync.Mutex

// contend takes a lock, holds it for a moment and takes it again.
//
//go:noinline
func contend() {
	for {
		contended.Lock()
		time.Sleep(time.Millisecond)
		contended.Unlock()
	}
}

// task is a task of a worker pool that is not for requests.
type task struct {
	n     int
	takes time.Duration
}

func (t task) Dump() string { return fmt.Sprintf("task %d", t.n) }

func (t task) Run(*appsrv.SWorker) { syncCloud(t.takes) }

// syncCloud waits for the API of a cloud provider.
//
//go:noinline
func syncCloud(takes time.Duration) { time.Sleep(takes) }

// cronJob is a task of the pool of cron jobs.
type cronJob struct{ task }

func (j cronJob) Dump() string { return fmt.Sprintf("cron job %d", j.n) }

// cronJobs are all due at the start, as those of a service that has just been started are: more than
// their pool has workers. The first ones take a part of the time, so that the queue drains evenly.
func cronJobs(b behaviour.Behaviour, app *appsrv.Application) {
	pool := app.Pool("CronJobWorkers")
	workers := pool.State().Max
	for n := 0; n < b.CronBurst; n++ {
		takes := b.CronTime
		if n < workers {
			takes = takes * time.Duration(n+1) / time.Duration(workers)
		}
		pool.Run(cronJob{task{n, takes}})
	}
}

// plantTasks gives a pool tasks, at once and all the time.
func plantTasks(b behaviour.Behaviour, app *appsrv.Application) error {
	cronJobs(b, app)
	if b.Pool == "" {
		return nil
	}
	pool := app.Pool(b.Pool)
	if pool == nil {
		return fmt.Errorf("there is no pool %q here", b.Pool)
	}
	for n := 0; n < b.PoolTasks; n++ {
		pool.Run(task{n, b.PoolTime})
	}
	if b.PoolRate > 0 {
		n := b.PoolTasks
		go every(b.PoolRate, func() { pool.Run(task{n, b.PoolTime}); n++ })
	}
	return nil
}
