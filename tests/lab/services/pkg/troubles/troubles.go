// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package troubles plants goroutines: those of an idle service, and those of a service in trouble.
package troubles

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cloudpods.lab/services/pkg/appsrv"
	"cloudpods.lab/services/pkg/behaviour"
	"cloudpods.lab/services/pkg/cloudcommon/db/lockman"
	"cloudpods.lab/services/pkg/cloudcommon/sqldb"
)

// idleStacks is the number of stacks of the idle goroutines: a healthy region has some
// seventy groups in 145 goroutines.
const idleStacks = 64

// never is a channel that is never closed.
var never = make(chan struct{})

// Plant starts all goroutines of a behaviour and returns when each of those that stay
// waits at its final place.
func Plant(b behaviour.Behaviour, app *appsrv.Application, db *sqldb.DB) error {
	var started sync.WaitGroup
	var settled []func() bool
	spread(&started, b.Idle, idleStacks, func() { <-never })
	spread(&started, b.Goroutines, b.Stacks, func() { <-never })
	start(&started, b.ChanWait, func(int) { waitForEvent() })
	start(&started, b.Labels, labelled)
	plantLocks(&started, b)
	if b.Deep > 0 {
		start(&started, 1, func(int) { descend(b.Deep) })
	}
	if b.DBWait > 0 {
		start(&started, b.DBConns+b.DBWait, func(int) { mustNotReturn(db.Query()) })
		settled = append(settled, func() bool {
			stats := db.Stats()
			return stats.InUse == b.DBConns && stats.WaitCount == int64(b.DBWait)
		})
	}
	if b.Workers > 0 {
		settled = append(settled, plantWorkers(&started, b, app))
	}
	started.Wait()
	for _, there := range append(settled, parked) {
		for !there() {
			time.Sleep(time.Millisecond)
		}
	}
	// These goroutines keep moving.
	if b.Churn > 0 {
		go churn(b.Churn)
	}
	grow(b)
	return plantTasks(b, app)
}

// parked reports whether each goroutine of this package waits. Between the last step of a goroutine
// that it can tell of itself and its being blocked lies one that only the runtime sees: it keeps a
// goroutine that waits in runtime.gopark.
func parked() bool {
	records := []runtime.StackRecord(nil)
	for count, whole := runtime.GoroutineProfile(nil); !whole; count, whole = runtime.GoroutineProfile(records) {
		records = make([]runtime.StackRecord, count+count/8+64)
	}
	for _, record := range records {
		if stack := record.Stack(); len(stack) > 0 && isBusy(stack) {
			return false
		}
	}
	return true
}

// isBusy reports whether a stack is that of a goroutine that Plant started, and that does not wait.
func isBusy(stack []uintptr) bool {
	frames := runtime.CallersFrames(stack)
	frame, more := frames.Next()
	if frame.Function == "runtime.gopark" {
		return false
	}
	planted := false
	for ; ; frame, more = frames.Next() {
		if frame.Function == plant {
			return false
		}
		planted = planted || strings.HasPrefix(frame.Function, strings.TrimSuffix(plant, "Plant"))
		if !more {
			return planted
		}
	}
}

// plant is the name of the function Plant, which this package's goroutines are not in.
const plant = "cloudpods.lab/services/pkg/troubles.Plant"

// start runs count goroutines and counts them as started when they run.
func start(started *sync.WaitGroup, count int, body func(i int)) {
	started.Add(count)
	for i := 0; i < count; i++ {
		go func(i int) {
			started.Done()
			body(i)
		}(i)
	}
}

// spread runs count goroutines over the requested number of different stacks.
func spread(started *sync.WaitGroup, count, stacks int, body func()) {
	if stacks < 1 {
		stacks = 1
	}
	depth := 1
	for size := ways; size < stacks; size *= ways {
		depth++
	}
	start(started, count, func(i int) { walk(i%stacks, depth, body) })
}

// ways is the number of functions walk can go through at each step.
const ways = 4

// walk writes the number n, to the base of ways, into the stack: each digit is one frame.
func walk(n, depth int, body func()) {
	if depth == 0 {
		body()
		return
	}
	switch n % ways {
	case 0:
		syncTask(n/ways, depth-1, body)
	case 1:
		probeTask(n/ways, depth-1, body)
	case 2:
		imageTask(n/ways, depth-1, body)
	default:
		guestTask(n/ways, depth-1, body)
	}
}

//go:noinline
func syncTask(n, depth int, body func()) { walk(n, depth, body) }

//go:noinline
func probeTask(n, depth int, body func()) { walk(n, depth, body) }

//go:noinline
func imageTask(n, depth int, body func()) { walk(n, depth, body) }

//go:noinline
func guestTask(n, depth int, body func()) { walk(n, depth, body) }

//go:noinline
func waitForEvent() { <-never }

// descend puts frames of itself on the stack, then waits.
//
//go:noinline
func descend(frames int) {
	if frames > 1 {
		descend(frames - 1)
		return
	}
	<-never
}

// hostile are label values that a careless parser of dumps takes for something else.
var hostile = []string{
	"request-42",
	"two\nlines",
	`with "quotes" and \ and {braces: "x"}`,
	"goroutine profile: total 5",
	"\ngoroutine profile: total 5\n1 @ 0x1\n#\t0x1\tmain.main+0x1\t/x.go:1\n\n",
	"[info 2026-11-23 00:22:28 main.main(main.go:1)] no log line",
	"\x1b[0;31mred\x1b[0m \x00 \u2028 \xff",
}

func labelled(i int) {
	labels := pprof.Labels("task", hostile[i%len(hostile)], "n", fmt.Sprint(i%len(hostile)))
	pprof.Do(context.Background(), labels, func(context.Context) { <-never })
}

// mutex is the one that mutex_wait waits for.
var mutex sync.Mutex

func plantLocks(started *sync.WaitGroup, b behaviour.Behaviour) {
	if b.MutexWait > 0 {
		held := make(chan struct{})
		go holdMutex(held)
		<-held
		start(started, b.MutexWait, func(int) { takeMutex() })
	}
	if b.LockWait > 0 {
		manager, held := lockman.NewInMemoryLockManager(), make(chan struct{})
		go holdObject(manager, held)
		<-held
		start(started, b.LockWait, func(int) { manager.LockObject("server", "guest-1") })
	}
}

func holdMutex(held chan struct{}) {
	mutex.Lock()
	close(held)
	<-never
}

func takeMutex() {
	mutex.Lock()
	defer mutex.Unlock()
}

func holdObject(manager *lockman.SInMemoryLockManager, held chan struct{}) {
	manager.LockObject("server", "guest-1")
	close(held)
	<-never
}

// plantWorkers blocks every worker that serves GET requests in a database of their own, and lets
// clients queue behind them. The returned function reports whether all are there.
func plantWorkers(started *sync.WaitGroup, b behaviour.Behaviour, app *appsrv.Application) func() bool {
	db, pool := sqldb.Open(b.Workers, sqldb.Forever), app.Pool(appsrv.HTTPGetPool)
	var arrived atomic.Int64
	start(started, b.Workers+b.WorkerQueue, func(int) {
		arrived.Add(1)
		pool.Serve("GET /servers", func() { mustNotReturn(db.Query()) })
	})
	return func() bool {
		return arrived.Load() == int64(b.Workers+b.WorkerQueue) && db.Stats().InUse == b.Workers
	}
}

// mustNotReturn ends the process when a wait that must last for ever ends: the trouble would
// be gone, and a test of it would look at a healthy service.
func mustNotReturn(err error) {
	fmt.Fprintln(os.Stderr, "standin: a planted wait ended:", err)
	os.Exit(70)
}

// churn starts short goroutines all the time.
func churn(perSecond int) {
	for range time.Tick(time.Second / time.Duration(perSecond)) {
		go time.Sleep(10 * time.Millisecond)
	}
}
