// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package appsrv

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/pprof"
	"strings"

	"cloudpods.lab/services/pkg/httperrors"
	"cloudpods.lab/services/pkg/log"
	"cloudpods.lab/services/pkg/version"
)

// UserAgent is the user agent of the services.
const UserAgent = "yunioncloud-go/201708"

// whitelist has the addresses that may use the default handlers.
var whitelist = []string{UserAgent, "kube-probe"}

// WhitelistFilter answers 403 to all other addresses.
func WhitelistFilter(handler FilterHandler) FilterHandler {
	return func(w http.ResponseWriter, r *http.Request) {
		agent := strings.ToLower(r.UserAgent())
		for _, allowed := range whitelist {
			if strings.Contains(agent, allowed) {
				handler(w, r)
				return
			}
		}
		log.Errorf("Forbidden default handler request: %s allow: %s", r.UserAgent(), whitelist)
		httperrors.Send(w, http.StatusForbidden, "Forbidden", "Forbidden")
	}
}

// filter is the whitelist in the releases that have it.
func (app *Application) filter(handler FilterHandler) FilterHandler {
	if !app.b.AtLeast("4.0") {
		return handler
	}
	return WhitelistFilter(handler)
}

// Handlers are the default handlers by their paths, for those that mount them elsewhere.
func (app *Application) Handlers() map[string]FilterHandler {
	return map[string]FilterHandler{
		"/ping":          Ping,
		"/version":       app.Version,
		"/stats":         app.stats,
		"/worker_stats":  app.workerStats,
		"/process_stats": processStats,
		"/db_stats":      app.dbStats,
	}
}

// addDefaultHandlers registers the endpoints about the service itself, in a pool of its own.
func (app *Application) addDefaultHandlers() {
	handlers := app.Handlers()
	add := func(method, path string, handler FilterHandler) {
		r := app.newRoute(method, path, strings.Trim(strings.TrimSuffix(path, "/.*"), "/"), handler)
		r.pool, r.quiet = app.Pool(InternalPool), true
		app.add(r)
	}
	for _, path := range []string{"/version", "/stats", "/ping", "/worker_stats"} {
		add(http.MethodGet, path, app.filter(handlers[path]))
	}
	add(http.MethodPost, "/ping", app.filter(Ping))
	if app.b.AtLeast("3.9") {
		add(http.MethodGet, "/process_stats", app.filter(processStats))
	}
	if app.DB != nil {
		add(http.MethodGet, "/db_stats", app.dbStats)
		if app.b.AtLeast("3.9") {
			add(http.MethodGet, "/db_stats/.*", app.dbStats)
		}
	}
}

// Profiles are the pprof handlers by their exact paths.
var Profiles = map[string]http.HandlerFunc{
	"/debug/pprof/":        pprof.Index,
	"/debug/pprof/cmdline": pprof.Cmdline,
	"/debug/pprof/profile": pprof.Profile,
	"/debug/pprof/symbol":  pprof.Symbol,
	"/debug/pprof/trace":   pprof.Trace,
}

// addPProfHandlers registers pprof, in the pool of ordinary GET requests and without a timeout. The
// index serves all paths below its own.
func (app *Application) addPProfHandlers() {
	add := func(method, path string, handler http.HandlerFunc) {
		r := app.newRoute(method, path, "", app.filter(FilterHandler(handler)))
		r.timeout, r.quiet = 0, true
		app.add(r)
		if strings.HasSuffix(path, "/") {
			app.prefixes = append(app.prefixes, r)
		}
	}
	for path, handler := range Profiles {
		add(http.MethodGet, path, handler)
	}
	add(http.MethodPost, "/debug/pprof/symbol", pprof.Symbol)
}

// Ping confirms that the service is alive.
func Ping(w http.ResponseWriter, _ *http.Request) { sendText(w, "text/plain; charset=utf-8", "pong") }

// Version returns the short version of the build.
func (app *Application) Version(w http.ResponseWriter, _ *http.Request) {
	short := version.Get(app.b.VersionBranch, app.b.VersionCommit).ShortText()
	sendText(w, "text/plain; charset=utf-8", short)
}

func (app *Application) stats(w http.ResponseWriter, _ *http.Request) { SendJSON(w, app.Stats()) }

func (app *Application) workerStats(w http.ResponseWriter, _ *http.Request) {
	states := make([]WorkerState, len(app.Pools))
	for i, pool := range app.Pools {
		states[i] = pool.State()
	}
	SendJSON(w, map[string]any{"workers": states})
}

func processStats(w http.ResponseWriter, _ *http.Request) {
	stats, err := Process()
	if err != nil {
		httperrors.Send(w, http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	SendJSON(w, map[string]any{"process_stats": stats})
}

// dbStats answers for the only database: its name matters only for another
// kind of database, which no stand-in has.
func (app *Application) dbStats(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(strings.TrimPrefix(r.URL.Path, "/db_stats/"), "click") {
		SendJSON(w, struct{}{})
		return
	}
	SendJSON(w, map[string]any{"db_stats": app.DB.Stats()})
}

// SendJSON answers with a document.
func SendJSON(w http.ResponseWriter, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		httperrors.Send(w, http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	sendText(w, "application/json", string(body))
}

// sendText writes a response. Errors of a client that has gone are ignored.
func sendText(w http.ResponseWriter, kind, text string) {
	w.Header().Set("Content-Type", kind)
	_, _ = io.WriteString(w, text)
}
