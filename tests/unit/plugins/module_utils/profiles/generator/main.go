// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command profiled writes profiles of itself into a folder: what the services never have (block and mutex profiles
// with something in them), and what is hard to count: recursion, inlined calls, labels.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

var kept [][]byte

// fall calls itself, directly and through rise, so that it stands in one stack many times.
//
//go:noinline
func fall(depth int) int {
	if depth == 0 {
		return spin()
	}
	if depth%3 == 0 {
		return rise(depth) + 1
	}
	return fall(depth-1) + 1
}

//go:noinline
func rise(depth int) int { return fall(depth-1) + 2 }

func spin() int {
	sum := 0
	for end := time.Now().Add(4 * time.Millisecond); time.Now().Before(end); {
		for i := 0; i < 1000; i++ {
			sum = mix(sum, i)
		}
	}
	return sum
}

// mix is inlined into spin.
func mix(sum, i int) int { return sum*31 + i ^ sum>>3 }

func keep[T any](value T, size int) T {
	kept = append(kept, make([]byte, size))
	return value
}

func fight(lock *sync.Mutex, wait *sync.WaitGroup) {
	defer wait.Done()
	for i := 0; i < 50; i++ {
		lock.Lock()
		time.Sleep(20 * time.Microsecond)
		lock.Unlock()
	}
}

func work() int {
	var wait sync.WaitGroup
	lock := new(sync.Mutex)
	for i := 0; i < 4; i++ {
		wait.Add(1)
		go fight(lock, &wait)
	}
	wait.Wait()
	sum := 0
	for i := 0; i < 60; i++ {
		labels := pprof.Labels("task", fmt.Sprintf("task-%d", i%3), "kind", "sync;cloud\n")
		pprof.Do(context.Background(), labels, func(context.Context) { sum += fall(i % 12) })
	}
	for i := 0; i < 200; i++ {
		sum += keep(i, 20_000)
		keep(func() int { return i }, 3000)
	}
	return sum
}

func main() {
	runtime.MemProfileRate = 1024
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	write := func(name string, to func(*os.File) error) {
		file, err := os.Create(filepath.Join(os.Args[1], name+".pb.gz"))
		if err == nil {
			err = to(file)
		}
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, name, err)
			os.Exit(1)
		}
	}
	never := make(chan int)
	for i := 0; i < 7; i++ {
		go func() { <-never }()
	}
	write("cpu", func(file *os.File) error {
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		work()
		pprof.StopCPUProfile()
		return nil
	})
	for _, name := range []string{"heap", "allocs", "goroutine", "threadcreate", "block", "mutex"} {
		write(name, func(file *os.File) error { return pprof.Lookup(name).WriteTo(file, 0) })
	}
	runtime.KeepAlive(kept)
}
