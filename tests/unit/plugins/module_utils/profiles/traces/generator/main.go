// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command tracer writes an execution trace of itself to the standard output: goroutines, channels, a lock, regions,
// tasks and log messages of a user's, and a collection of garbage.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/trace"
	"sync"
)

var kept [][]byte

func main() {
	runtime.GOMAXPROCS(2)
	if err := trace.Start(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, task := trace.NewTask(context.Background(), "sync")
	var group sync.WaitGroup
	var lock sync.Mutex
	answers := make(chan int)
	for i := 0; i < 20; i++ {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			trace.WithRegion(ctx, "ask", func() {
				trace.Log(ctx, "number", fmt.Sprint(number))
				lock.Lock()
				kept = append(kept, make([]byte, 4096))
				lock.Unlock()
				answers <- number
			})
		}(i)
	}
	for i := 0; i < 20; i++ {
		<-answers
	}
	group.Wait()
	runtime.GC()
	task.End()
	trace.Stop()
}
