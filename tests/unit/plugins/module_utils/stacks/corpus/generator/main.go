// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command generator makes goroutines of every kind that a parser of dumps has to know and then dumps them in the
// form its argument names.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"time"
)

var started sync.WaitGroup

type pair[K comparable, V any] struct {
	key   K
	value V
}

func (p *pair[K, V]) wait(c chan V) { started.Done(); p.value = <-c }

func mapAll[T, U any](in []T, f func(T) U) (out []U) {
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}

type base struct{ mu sync.Mutex }

func (b *base) lock(n int, text string, many ...any) { started.Done(); b.mu.Lock(); _ = many }

type derived struct {
	*base
	name string
}

type locker interface {
	lock(n int, text string, many ...any)
}

//go:noinline
func deep(n int, c chan int) int {
	if n == 0 {
		started.Done()
		return <-c
	}
	return deep(n-1, c) + 1
}

func inlinedInner(c chan int) int { return <-c }
func inlinedOuter(c chan int) int { return inlinedInner(c) + 1 }

func structArgs(p struct{ a, b, c, d, e, f, g, h, i, j, k int }, s []string, e error) {
	started.Done()
	select {}
}

// A goroutine blocked in a deferred function while its nil dereference unwinds.
func whilePanicking(c chan int) {
	defer func() { recover() }()
	defer func() { started.Done(); <-c }()
	var p *pair[string, int]
	p.value = 1
}

func labelled(c chan int) {
	labels := pprof.Labels("request", "GET /servers?a=\"1\"\n#\t0x1", "ключ", "значение, {x}")
	pprof.Do(context.Background(), labels, func(context.Context) { started.Done(); <-c })
}

func start(n int, f func()) {
	started.Add(n)
	for i := 0; i < n; i++ {
		go f()
	}
}

func zoo() {
	c := make(chan int)
	b := &base{}
	b.mu.Lock()
	start(5, func() { (&pair[string, int]{}).wait(c) })
	start(2, func() { (&pair[int, struct{ x []byte }]{}).wait(nil) })
	start(3, func() { locker(derived{base: b}).lock(1, "a text", 2, "three") })
	lock := (&derived{base: b}).lock
	start(2, func() { lock(1, "x") })
	start(1, func() { mapAll([]int{1}, func(i int) string { started.Done(); return fmt.Sprint(<-c) }) })
	start(1, func() { deep(20, c) })
	start(1, func() { deep(300, c) })
	start(2, func() { started.Done(); inlinedOuter(c) })
	start(1, func() { structArgs(struct{ a, b, c, d, e, f, g, h, i, j, k int }{}, nil, io.EOF) })
	start(1, func() { whilePanicking(c) })
	start(2, func() { labelled(c) })
	start(1, func() { runtime.LockOSThread(); started.Done(); select {} })
	start(1, func() { started.Done(); time.Sleep(time.Hour) })
	start(1, func() { full := make(chan int, 1); full <- 1; started.Done(); full <- 2 })
	start(1, func() { started.Done(); var nothing chan int; nothing <- 1 })
	start(1, func() {
		started.Done()
		select {
		case <-c:
		case (chan int)(nil) <- 1:
		case <-time.After(time.Hour):
		}
	})
	start(1, func() { cond := sync.NewCond(&sync.Mutex{}); cond.L.Lock(); started.Done(); cond.Wait() })
	start(1, func() { var group sync.WaitGroup; group.Add(1); started.Done(); group.Wait() })
	start(1, func() { var m sync.RWMutex; m.Lock(); started.Done(); m.RLock() })
	start(1, func() { s := strings.Builder{}; defer s.Reset(); started.Done(); <-c })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	start(1, func() { started.Done(); listener.Accept() })
	r, _, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	start(1, func() { started.Done(); r.Read(make([]byte, 1)) })
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		panic(err)
	}
	start(1, func() { started.Done(); syscall.Read(fds[0], make([]byte, 1)) })
	go signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR2)
	started.Wait()
	time.Sleep(50 * time.Millisecond)
}

// endless overflows its stack.
//
//go:noinline
func endless(n int) int { return endless(n+1) + 1 }

func main() {
	what := os.Args[1]
	if what == "deadlock" {
		select {}
	}
	if what == "overflow" {
		debug.SetMaxStack(1 << 20)
		endless(0)
	}
	zoo()
	for i := 0; i < 2; i++ {
		go func() {}() // still to be run when the dump is made
	}
	switch what {
	case "debug1":
		pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	case "debug2":
		pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
	case "panic":
		panic(fmt.Errorf("no such thing: %w\n\ngoroutine 1 [running]: said the message", io.EOF))
	case "nil":
		var p *pair[string, int]
		p.value = 1
	case "map":
		m := map[int]int{}
		for g := 0; g < 4; g++ {
			go func() {
				for {
					m[1]++
				}
			}()
		}
		time.Sleep(10 * time.Second)
	case "quit":
		go func() {
			for {
			}
		}()
		time.Sleep(20 * time.Millisecond)
		syscall.Kill(os.Getpid(), syscall.SIGQUIT)
		time.Sleep(10 * time.Second)
	case "stack":
		fmt.Fprintf(os.Stderr, "[error 2026-11-23 00:22:28 httperrors.(*E).Send(httperrors.go:110)] Send error x\n%s\n", debug.Stack())
	case "all":
		buffer := make([]byte, 1<<20)
		os.Stderr.Write(buffer[:runtime.Stack(buffer, true)])
	}
}
