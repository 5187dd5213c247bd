// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command dump writes a debug=2 goroutine dump of N goroutines in mixed places to a file: dump N FILE.
//
// Built with -tags faketime, which stops the clock while any goroutine runs and advances it when all sleep, so that
// goroutines have waited for minutes within a moment.
package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"
)

type request struct {
	id   int
	body []byte
	done chan error
}

type pool struct {
	mu    sync.Mutex
	queue chan *request
	free  *sync.Cond
}

//go:noinline
func (p *pool) handle(r *request, path string) error {
	err := p.store(r, path, len(r.body))
	runtime.KeepAlive(r)
	return err
}

//go:noinline
func (p *pool) store(r *request, path string, size int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.body = append(r.body, path...)
	return nil
}

//go:noinline
func (r *request) wait(ctx context.Context) error {
	var err error
	select {
	case err = <-r.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	runtime.KeepAlive(r)
	return err
}

//go:noinline
func serve(ctx context.Context, r *request, name string) error {
	err := r.wait(ctx)
	runtime.KeepAlive(r)
	return err
}

//go:noinline
func (p *pool) work(id int) {
	for r := range p.queue {
		r.id = id
		r.done <- nil
	}
}

//go:noinline
func read(r io.Reader, into []byte) (int, error) {
	n, err := io.ReadFull(bufio.NewReader(r), into)
	runtime.KeepAlive(into)
	return n, err
}

//go:noinline
func (p *pool) rest() {
	p.free.L.Lock()
	p.free.Wait()
}

func pipe(n int) {
	r, w := io.Pipe()
	if n%2 == 0 {
		read(r, make([]byte, 16))
	} else {
		w.Write([]byte("sixteen bytes ok"))
	}
}

//go:noinline
func descend(n int, r *request) {
	if n == 0 {
		<-r.done
		return
	}
	descend(n-1, r)
	runtime.KeepAlive(r)
}

func spawn(p *pool, i int) {
	r := &request{id: i, body: make([]byte, i%7), done: make(chan error)}
	switch i % 16 {
	case 0, 1, 2, 3, 4:
		go func() { serve(context.Background(), r, "GET /servers") }()
	case 5, 6, 7:
		go func() { p.handle(r, "/servers/"+strconv.Itoa(i)) }()
	case 8, 9:
		go p.work(i)
	case 10:
		go pipe(i / 16)
	case 11:
		go p.rest()
	case 12:
		go time.Sleep(24 * time.Hour)
	case 13:
		go descend(i/16%5, r)
	case 14:
		go func() { r.done <- nil }()
	case 15:
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
			defer cancel()
			serve(ctx, r, "POST /servers")
		}()
	}
}

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	out, err := os.Create(os.Args[2])
	if err != nil {
		panic(err)
	}
	pools := make([]*pool, 200)
	for i := range pools {
		pools[i] = &pool{queue: make(chan *request), free: sync.NewCond(&sync.Mutex{})}
		pools[i].mu.Lock()
	}
	const waves = 12
	for wave := 0; wave < waves; wave++ {
		for i := wave * (n - 1) / waves; i < (wave+1)*(n-1)/waves; i++ {
			spawn(pools[i%len(pools)], i)
		}
		time.Sleep(time.Duration(wave*wave) * time.Minute)
	}
	if err := pprof.Lookup("goroutine").WriteTo(out, 2); err != nil {
		panic(err)
	}
	if err := out.Close(); err != nil {
		panic(err)
	}
}
