// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package servers has the HTTP servers of the components: most are the framework's application, some
// put a router of their own before it or have none of it.
package servers

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"cloudpods.lab/services/pkg/appsrv"
	"cloudpods.lab/services/pkg/behaviour"
	"cloudpods.lab/services/pkg/keystone"
	"cloudpods.lab/services/pkg/log"
	"cloudpods.lab/services/pkg/role"
)

// New returns the handler of a component's port. profiling: with pprof.
func New(app *appsrv.Application, b behaviour.Behaviour, profiling bool) http.Handler {
	switch app.Role.Server {
	case role.Gin:
		return scheduler(app, b, profiling && b.AtLeast("3.11"))
	case role.Mux:
		return mux(app, profiling, http.NotFoundHandler(), "/version", "/stats", "/ping", "/worker_stats")
	case role.MuxApp:
		return mux(app, profiling, without(app, "/process_stats"), "/version", "/stats", "/ping", "/worker_stats")
	case role.NetHTTP:
		return mcp(app)
	}
	if app.Role.Name == "keystone" {
		keystone.New(b).Register(app)
	}
	return app
}

// exact serves handlers at their exact paths, for one method or (empty) for any.
type exact struct {
	method   string
	handlers map[string]http.HandlerFunc
	rest     http.Handler
}

func (e exact) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if handler := e.handlers[r.URL.Path]; handler != nil && (e.method == "" || e.method == r.Method) {
		handler(w, r)
		return
	}
	e.rest.ServeHTTP(w, r)
}

// mux is a router with some of the default handlers, without the whitelist, and, if wanted, pprof at
// its exact paths.
func mux(app *appsrv.Application, profiling bool, rest http.Handler, paths ...string) http.Handler {
	handlers := map[string]http.HandlerFunc{}
	for _, path := range paths {
		handlers[path] = http.HandlerFunc(app.Handlers()[path])
	}
	addProfiles(handlers, profiling)
	return exact{handlers: handlers, rest: rest}
}

func addProfiles(handlers map[string]http.HandlerFunc, profiling bool) {
	if profiling {
		for path, handler := range appsrv.Profiles {
			handlers[path] = handler
		}
	}
}

// without is an application that lacks a path.
func without(app *appsrv.Application, path string) http.Handler {
	return exact{handlers: map[string]http.HandlerFunc{path: http.NotFound}, rest: app}
}

// scheduler has few paths, requires no login, and is not ready at first.
func scheduler(app *appsrv.Application, b behaviour.Behaviour, profiling bool) http.Handler {
	ready := time.Now().Add(b.PingReady)
	var enabled atomic.Bool
	handlers := map[string]http.HandlerFunc{
		"/ping": func(w http.ResponseWriter, r *http.Request) {
			if time.Now().Before(ready) {
				http.Error(w, "scheduler is not ready", http.StatusBadRequest)
				return
			}
			appsrv.Ping(w, r)
		},
		"/version": app.Version,
		"/switch": func(w http.ResponseWriter, r *http.Request) {
			on := !enabled.Load()
			enabled.Store(on)
			log.Warningf("Scheduler SWITCHED to %v by %s %s", on, r.Method, r.UserAgent())
			fmt.Fprintf(w, "switched to %v", on)
		},
	}
	addProfiles(handlers, profiling)
	return exact{method: http.MethodGet, handlers: handlers, rest: http.HandlerFunc(unauthorized)}
}

// unauthorized: every other path of the scheduler needs a token, and here none is valid.
func unauthorized(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, `{"error":"Request unauthorized"}`) // errors of a client that has gone are ignored
}

// mcp has no application: endpoints that need one fail.
func mcp(app *appsrv.Application) http.Handler {
	var none *appsrv.Application
	handlers := map[string]http.HandlerFunc{"/stats": func(w http.ResponseWriter, r *http.Request) {
		appsrv.SendJSON(w, none.Stats())
	}}
	for _, path := range []string{"/version", "/ping", "/worker_stats", "/process_stats"} {
		handlers[path] = http.HandlerFunc(app.Handlers()[path])
	}
	return exact{handlers: handlers, rest: http.NotFoundHandler()}
}
