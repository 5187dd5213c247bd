// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package appsrv

import (
	"errors"
	"net/http"
	"time"

	"cloudpods.lab/services/pkg/httperrors"
)

var errAbandoned = errors.New("the request has timed out")

// responseWriterChannel passes a worker's output to the goroutine of the client, which waits.
type responseWriterChannel struct {
	backend   http.ResponseWriter
	header    http.Header
	parts     chan part
	ended     chan struct{} // the worker is done
	abandoned chan struct{} // the client's goroutine does not wait any more
	status    int           // 0 as long as nothing was written; of the client's goroutine
}

// part is one call of the worker: a status, or a piece of the body.
type part struct {
	status int
	body   []byte
	done   chan error
}

func newResponseWriterChannel(backend http.ResponseWriter) *responseWriterChannel {
	return &responseWriterChannel{
		backend: backend, header: http.Header{}, parts: make(chan part), ended: make(chan struct{}),
		abandoned: make(chan struct{}),
	}
}

func (w *responseWriterChannel) Header() http.Header { return w.header }

func (w *responseWriterChannel) WriteHeader(status int) {
	// The error is ignored: lost data was abandoned by its client.
	_ = w.send(part{status: status})
}

func (w *responseWriterChannel) Write(body []byte) (int, error) {
	if err := w.send(part{body: body}); err != nil {
		return 0, err
	}
	return len(body), nil
}

func (w *responseWriterChannel) send(p part) error {
	p.done = make(chan error, 1)
	select {
	case w.parts <- p:
		return <-p.done
	case <-w.abandoned:
		return errAbandoned
	}
}

// put writes one part; only the client's goroutine calls it.
func (w *responseWriterChannel) put(p part) error {
	if w.status == 0 {
		w.status = p.status
		if w.status == 0 {
			w.status = http.StatusOK
		}
		for key, values := range w.header {
			w.backend.Header()[key] = values
		}
		w.backend.WriteHeader(w.status)
	}
	if len(p.body) == 0 {
		return nil
	}
	_, err := w.backend.Write(p.body)
	return err
}

// wait passes on the worker's output until it is done, and returns the status of the response.
// After timeout it detaches the worker, as soon as the task has one, and answers 504 itself.
func (w *responseWriterChannel) wait(task *appTask, timeout <-chan time.Time) int {
	for {
		select {
		case p := <-w.parts:
			p.done <- w.put(p)
		case <-w.ended:
			if w.status == 0 {
				_ = w.put(part{}) // an empty body: nothing can fail
			}
			return w.status
		case <-timeout:
			worker := <-task.worker
			close(w.abandoned)
			worker.Detach(task, "timeout")
			if w.status != 0 {
				panic(http.ErrAbortHandler) // half of the response is sent: it can only be aborted
			}
			return httperrors.Send(w.backend, http.StatusGatewayTimeout, "TimeoutError", "request process timeout")
		}
	}
}

// appTask is a request on its way through a pool.
type appTask struct {
	name    string // method and URL
	w       *responseWriterChannel
	handler func(w http.ResponseWriter)
	worker  chan *SWorker // gets the worker when it begins
}

func newAppTask(name string, backend http.ResponseWriter, handler func(w http.ResponseWriter)) *appTask {
	return &appTask{name: name, w: newResponseWriterChannel(backend), handler: handler, worker: make(chan *SWorker, 1)}
}

func (t *appTask) Dump() string { return t.name }

func (t *appTask) Run(worker *SWorker) {
	t.worker <- worker
	func() {
		defer close(t.w.ended)
		t.handler(t.w)
	}()
}

// discard is the client of a request without a sender.
type discard struct{}

func (discard) Header() http.Header            { return http.Header{} }
func (discard) Write(body []byte) (int, error) { return len(body), nil }
func (discard) WriteHeader(int)                {}

// Serve does the work of a patient client's goroutine: queue a request and wait for its end.
func (wm *SWorkerManager) Serve(name string, handler func()) {
	task := newAppTask(name, discard{}, func(http.ResponseWriter) { handler() })
	if wm.Run(task) {
		task.w.wait(task, nil)
	}
}
