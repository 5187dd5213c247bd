// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package appsrv

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"cloudpods.lab/services/pkg/behaviour"
	"cloudpods.lab/services/pkg/cloudcommon/sqldb"
	"cloudpods.lab/services/pkg/httperrors"
	"cloudpods.lab/services/pkg/log"
	"cloudpods.lab/services/pkg/role"
)

// FilterHandler answers one request, in a worker.
type FilterHandler func(w http.ResponseWriter, r *http.Request)

// Application is the HTTP side of a service. It serves HTTP itself.
type Application struct {
	Role  role.Role
	DB    *sqldb.DB // nil for a service without a database
	Pools []*SWorkerManager

	b        behaviour.Behaviour
	hostID   string
	routes   []*route
	byPath   map[string]*route // by method, blank and path
	prefixes []*route
	requests atomic.Int64
	served   atomic.Int64 // ordinary requests, for the ratio of errors
}

// route is a handler with its pool and the counters of its requests.
type route struct {
	counted
	handler FilterHandler
	pool    *SWorkerManager
	timeout time.Duration // 0 for none
	quiet   bool          // not in the access log
}

// NewApplication makes the application of a component, with its pools and handlers. profiling: with
// pprof.
func NewApplication(r role.Role, b behaviour.Behaviour, db *sqldb.DB, profiling bool) *Application {
	workers := 8
	if b.Workers > 0 {
		workers = b.Workers
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = r.Name
	}
	app := &Application{Role: r, DB: db, b: b, hostID: hostname, byPath: map[string]*route{},
		Pools: makePools(r.Name, db != nil, workers)}
	for _, pool := range app.Pools {
		pool.hidesStuck = !b.AtLeast("3.11")
	}
	app.add(&route{counted: counted{PathStats: PathStats{Method: "*", Path: "*"}}})
	app.addResources()
	app.addDefaultHandlers()
	if profiling {
		app.addPProfHandlers()
	}
	return app
}

// Watch starts the watchdog of the pools.
func (app *Application) Watch() {
	if app.b.Watchdog != behaviour.Forever {
		go watch(app.Pools, app.b.Watchdog)
	}
}

// Pool finds a pool by its name; nil when there is none.
func (app *Application) Pool(name string) *SWorkerManager {
	for _, pool := range app.Pools {
		if pool.name == name {
			return pool
		}
	}
	return nil
}

// AddHandler registers a handler for exactly one path, in the pool of its method.
func (app *Application) AddHandler(method, path, name string, handler FilterHandler) {
	app.add(app.newRoute(method, path, name, handler))
}

func (app *Application) newRoute(method, path, name string, handler FilterHandler) *route {
	pool := HTTPPool
	if method == http.MethodGet || method == http.MethodHead {
		pool = HTTPGetPool
	}
	timeout := app.b.HTTPTimeout
	if timeout == behaviour.Forever {
		timeout = 0
	}
	return &route{counted: counted{PathStats: PathStats{Method: method, Path: path, Name: name}}, handler: handler,
		pool: app.Pool(pool), timeout: timeout}
}

func (app *Application) add(r *route) {
	app.routes = append(app.routes, r)
	app.byPath[r.Method+" "+r.Path] = r
}

// find returns the route of a path, a segment that is named before one that may be anything; nil
// when there is none.
func (app *Application) find(method, path string) *route {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	for named := len(segments); named > 0; named-- {
		key := "/" + strings.Join(segments[:named], "/") + strings.Repeat("/.*", len(segments)-named)
		if r := app.byPath[method+" "+key]; r != nil {
			return r
		}
	}
	for _, r := range app.prefixes {
		if r.Method == method && strings.HasPrefix(path, r.Path) {
			return r
		}
	}
	return nil
}

// ServeHTTP takes a request through its pool, counts it and writes the access log.
func (app *Application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start, id := time.Now(), app.requests.Add(1)
	found := app.find(r.Method, r.URL.Path)
	var status int
	if found == nil {
		found = app.routes[0]
		status = httperrors.NotFound(w, r.URL.Path)
	} else {
		status = app.serve(found, w, r)
	}
	took := time.Since(start)
	found.count(status, took)
	if found.quiet {
		return
	}
	peer := ""
	if service := r.Header.Get("X-Yunion-Peer-Service-Name"); service != "" {
		peer = ":" + service
	}
	log.Infof("%s %d %06x %s %s (%s%s) %.2fms", app.hostID, status, id&0xffffff, r.Method, r.URL.RequestURI(),
		r.RemoteAddr, peer, float64(took)/float64(time.Millisecond))
}

func (app *Application) serve(found *route, w http.ResponseWriter, r *http.Request) int {
	var timeout <-chan time.Time
	if found.timeout > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), found.timeout)
		defer cancel()
		r = r.WithContext(ctx)
		timer := time.NewTimer(found.timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	task := newAppTask(r.Method+" "+r.URL.RequestURI(), w, func(w http.ResponseWriter) { found.handler(w, r) })
	if !found.pool.Run(task) {
		return httperrors.Send(w, http.StatusTooManyRequests, "TooManyRequests", "Request queue is full")
	}
	return task.w.wait(task, timeout)
}

// addResources registers the resources of the component.
func (app *Application) addResources() {
	manages := resourcesOf(app.Role.Name)
	for _, plural := range manages.names {
		for _, verb := range verbs {
			app.AddHandler(verb.method, manages.prefix+"/"+plural+verb.extra, verb.name, app.resource)
		}
	}
}

// resource is the handler of all ordinary requests: it queries the database and responds.
func (app *Application) resource(w http.ResponseWriter, r *http.Request) {
	if app.b.HTTPSlow > 0 && r.Method == http.MethodGet && r.URL.Path == app.mainPath() {
		callProvider(app.b.HTTPSlow)
	}
	if app.DB != nil {
		if err := app.DB.Query(); err != nil {
			log.Errorf("SQuery count %s failed: %s", countOf(plural(r.URL.Path)), err)
			httperrors.Send(w, http.StatusInternalServerError, "InternalServerError", err.Error())
			return
		}
	}
	// This number of each hundred, spread evenly.
	if app.served.Add(1)*61%100 < int64(app.b.HTTPErrors) {
		httperrors.Send(w, http.StatusInternalServerError, "InternalServerError", "invalid connection")
		return
	}
	sendText(w, "application/json", fmt.Sprintf(`{"limit":20,"total":0,%q:[]}`, plural(r.URL.Path)))
}

// plural is the last word of a path: the requested resource.
func plural(path string) string {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	return segments[len(segments)-1]
}

// countOf returns the query that counts the items of a list: SQL as long as that of the services.
func countOf(what string) string {
	table := strings.ReplaceAll(what, "-", "_") + "_tbl"
	return fmt.Sprintf("SELECT COUNT(*) AS `count` FROM (SELECT `t1`.`id` AS `id`, `t1`.`name` AS `name`, "+
		"`t1`.`tenant_id` AS `tenant_id`, `t1`.`domain_id` AS `domain_id`, `t1`.`status` AS `status`, "+
		"`t1`.`created_at` AS `created_at` FROM `%s` AS `t1` WHERE `t1`.`deleted` = 0 AND `t1`.`pending_deleted` = 0 "+
		"AND `t1`.`is_system` = 0 ORDER BY `t1`.`created_at` DESC, `t1`.`id` ASC) AS `t2`", table)
}

func (app *Application) mainPath() string {
	if app.b.HTTPPath != "" {
		return app.b.HTTPPath
	}
	return MainPath(app.Role.Name)
}

// callProvider imitates a slow call to the API of a cloud provider.
//
//go:noinline
func callProvider(takes time.Duration) { time.Sleep(takes) }
