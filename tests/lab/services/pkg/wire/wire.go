// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package wire sends responses with the faults that occur between a service and its
// client.
package wire

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"cloudpods.lab/services/pkg/behaviour"
	"cloudpods.lab/services/pkg/log"
)

// Faulty wraps a handler: requests of the path that the behaviour names, or of all but one, get its
// fault.
func Faulty(b behaviour.Behaviour, inner http.Handler) http.Handler {
	fault := faults[b.Fault]
	if fault == nil {
		return inner
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.FaultPath != "*" && b.FaultPath != r.URL.Path || b.FaultNot == r.URL.Path {
			inner.ServeHTTP(w, r)
			return
		}
		log.Infof("Fault %s for %s %s", b.Fault, r.Method, r.URL.Path)
		if err := fault(w, r, inner, b); err != nil {
			log.Warningf("Fault %s: %v", b.Fault, err)
		}
	})
}

// fault answers one request. Its error is mostly that of a client that left first.
type fault func(w http.ResponseWriter, r *http.Request, inner http.Handler, b behaviour.Behaviour) error

var faults = map[string]fault{
	"hang": func(_ http.ResponseWriter, r *http.Request, _ http.Handler, _ behaviour.Behaviour) error {
		<-r.Context().Done() // the client has gone
		return nil
	},
	"drip":  drip,
	"huge":  huge,
	"gzip":  zipped,
	"cut":   cut,
	"short": short,
	"reset": func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ behaviour.Behaviour) error {
		return reset(w, "")
	},
	"close": func(http.ResponseWriter, *http.Request, http.Handler, behaviour.Behaviour) error {
		panic(http.ErrAbortHandler)
	},
	"redirect": func(w http.ResponseWriter, r *http.Request, _ http.Handler, _ behaviour.Behaviour) error {
		http.Redirect(w, r, "https://elsewhere.invalid"+r.URL.Path, http.StatusFound)
		return nil
	},
	"unavailable": func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ behaviour.Behaviour) error {
		http.Error(w, "upstream connect error", http.StatusServiceUnavailable)
		return nil
	},
	"empty":    body("application/json", ""),
	"html":     body("text/html", "<html><body><h1>It works!</h1></body></html>"),
	"bad-json": body("application/json", `{"workers":[{"name":"HttpRequestWorkerManager","queue_cnt":`),
	"bad-utf8": body("application/json", "{\"workers\":[{\"name\":\"\xff\xfe\xc3(\",\"queue_cnt\":0}]}"),
}

func body(kind, text string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ behaviour.Behaviour) error {
		w.Header().Set("Content-Type", kind)
		_, err := io.WriteString(w, text)
		return err
	}
}

// recorder keeps the response of the inner handler.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header               { return r.header }
func (r *recorder) WriteHeader(status int)            { r.status = status }
func (r *recorder) Write(content []byte) (int, error) { return r.body.Write(content) }

func record(r *http.Request, inner http.Handler) *recorder {
	answer := &recorder{header: http.Header{}, status: http.StatusOK}
	inner.ServeHTTP(answer, r)
	return answer
}

// drip sends the true response at one byte a second.
func drip(w http.ResponseWriter, r *http.Request, inner http.Handler, _ behaviour.Behaviour) error {
	answer := record(r, inner)
	for key, values := range answer.header {
		w.Header()[key] = values
	}
	w.Header().Set("Content-Length", fmt.Sprint(answer.body.Len()))
	w.WriteHeader(answer.status)
	for _, each := range answer.body.Bytes() {
		if err := flush(w); err != nil {
			return err
		}
		select {
		case <-r.Context().Done():
			return r.Context().Err()
		case <-time.After(time.Second):
		}
		if _, err := w.Write([]byte{each}); err != nil {
			return err
		}
	}
	return nil
}

func flush(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() }

// huge sends a document of this number of mebibytes.
func huge(w http.ResponseWriter, _ *http.Request, _ http.Handler, b behaviour.Behaviour) error {
	w.Header().Set("Content-Type", "application/json")
	piece := strings.Repeat("x", 1<<16)
	_, err := io.WriteString(w, `{"workers":"`)
	for i := 0; i < b.FaultSize*16 && err == nil; i++ {
		_, err = io.WriteString(w, piece)
	}
	if err == nil {
		_, err = io.WriteString(w, `"}`)
	}
	return err
}

// zipped sends the true response compressed, whether the client can read that or not.
func zipped(w http.ResponseWriter, r *http.Request, inner http.Handler, _ behaviour.Behaviour) error {
	answer := record(r, inner)
	for key, values := range answer.header {
		w.Header()[key] = values
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(answer.status)
	to := gzip.NewWriter(w)
	if _, err := to.Write(answer.body.Bytes()); err != nil {
		return err
	}
	return to.Close()
}

// cut sends half of the true response in chunks, and ends without the last one.
func cut(w http.ResponseWriter, r *http.Request, inner http.Handler, _ behaviour.Behaviour) error {
	half := firstHalf(record(r, inner))
	return raw(w, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n",
		len(half), half), false)
}

// short sends half of the body whose length it has declared.
func short(w http.ResponseWriter, r *http.Request, inner http.Handler, _ behaviour.Behaviour) error {
	answer := record(r, inner)
	return raw(w, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		answer.body.Len(), firstHalf(answer)), false)
}

func firstHalf(answer *recorder) []byte { return answer.body.Bytes()[:answer.body.Len()/2] }

// reset sends some text and ends the connection with a reset.
func reset(w http.ResponseWriter, text string) error { return raw(w, text, true) }

// raw writes to the connection itself and ends it, in order or with a reset.
func raw(w http.ResponseWriter, text string, hard bool) error {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	if _, err = io.WriteString(conn, text); err != nil || !hard {
		conn.Close() // what matters is the error of the write
		return err
	}
	under := conn
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		under = secure.NetConn()
	}
	if err := under.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	return under.Close()
}
