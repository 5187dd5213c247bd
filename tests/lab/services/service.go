// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"cloudpods.lab/services/pkg/appsrv"
	"cloudpods.lab/services/pkg/behaviour"
	"cloudpods.lab/services/pkg/cloudcommon/sqldb"
	"cloudpods.lab/services/pkg/faults"
	"cloudpods.lab/services/pkg/load"
	"cloudpods.lab/services/pkg/log"
	"cloudpods.lab/services/pkg/options"
	"cloudpods.lab/services/pkg/role"
	"cloudpods.lab/services/pkg/servers"
	"cloudpods.lab/services/pkg/traffic"
	"cloudpods.lab/services/pkg/troubles"
	"cloudpods.lab/services/pkg/util/signalutils"
	"cloudpods.lab/services/pkg/utils"
	"cloudpods.lab/services/pkg/wire"
)

// run executes a service from start to end.
func run(r role.Role, b behaviour.Behaviour, o options.Options) {
	configure(r, b, &o)
	initDatabase(r, b, o)
	if o.ExitAfterDBInit {
		log.Infof("Exit after db initialization, exiting...")
		return
	}
	if b.Disk != "stuck" {
		faults.LeaveMainThread()
	}
	if b.Start == "crash" {
		troubles.Die(b.Death, fmt.Sprintf("Fail to init: %s cannot reach its database: invalid connection", r.Name))
	}
	if b.Once != "" {
		b = onlyOnce(b)
	}
	db := openDatabase(r, b)
	profiling := o.Profiling || !b.AtLeast("3.10")
	// Services with another router in front register pprof there.
	app := appsrv.NewApplication(r, b, db, profiling && r.Server == role.Framework)
	app.Watch()
	if db == nil {
		db = sqldb.Open(b.DBConns, sqldb.Forever) // used by the planted goroutines only
	}
	if err := troubles.Plant(b, app, db); err != nil {
		refuse(err)
	}
	if b.Life > 0 {
		time.AfterFunc(b.Life, func() { troubles.Die(b.Death, r.Name+" gives up") })
	}
	if b.DBStory != "" {
		go troubles.Tell(b, db)
	}
	if b.EtcdLost > 0 {
		go troubles.LoseEtcd(b.EtcdLost)
	}
	go traffic.Run(b)
	// Up to this point, the runtime silently swallows USR1.
	time.Sleep(b.TrapDelay)
	stopped := make(chan struct{})
	registerTraps(r, b, stopped)
	serve(r, b, o, servers.New(app, b, profiling), stopped)
}

// onlyOnce limits some faults to the first run of a container. The file that records it
// must outlive the container: the pod's /dev/shm does.
func onlyOnce(b behaviour.Behaviour) behaviour.Behaviour {
	file, err := os.OpenFile(b.Once, os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		file.Close() // it is empty
	case os.IsExist(err):
		b.Life, b.HeapGrowth = 0, 0
	default:
		refuse(err)
	}
	return b
}

// openDatabase opens the pool of a service with a schema. With db_wait the database never answers
// and the pool is small.
func openDatabase(r role.Role, b behaviour.Behaviour) *sqldb.DB {
	switch {
	case r.DB == "":
		return nil
	case b.DBWait > 0:
		return sqldb.Open(b.DBConns, sqldb.Forever)
	}
	log.Infof("Total %d db workers, set db connection max", (b.DBMax-1)/2)
	return sqldb.Open(b.DBMax, b.DBLatency)
}

// serve serves HTTP, in the main goroutine, until the service is stopped.
func serve(r role.Role, b behaviour.Behaviour, o options.Options, handler http.Handler, stopped chan struct{}) {
	server, err := servers.Listen(r, b, o)
	if err != nil {
		log.Fatalf("ListAndServer fail: %v", err)
	}
	if server == nil {
		log.Infof("Start listen on https://0.0.0.0:%d", r.Port)
		waitForever(stopped)
		return
	}
	log.Infof("Start listen on %s://0.0.0.0:%s", server.Scheme, server.Port())
	if b.Serve == "deaf" {
		waitForever(stopped)
		return
	}
	load.Run(b, server.Address, server.Scheme == "http", appsrv.MainPath(r.Name))
	if b.Disk == "stuck" {
		go func() {
			if err := server.Serve(wire.Faulty(b, handler), stopped); err != nil {
				log.Fatalf("HTTP server: %v", err)
			}
			os.Exit(0)
		}()
		refuse(faults.StuckInKernel()) // it returns only an error
	}
	if err := server.Serve(wire.Faulty(b, handler), stopped); err != nil {
		log.Fatalf("HTTP server: %v", err)
	}
}

// waitForever blocks the main goroutine of a program without HTTP.
func waitForever(stopped chan struct{}) { <-stopped }

// serveNginx runs the stand-in of a web server.
func serveNginx(r role.Role, b behaviour.Behaviour) {
	stopped := make(chan struct{})
	registerTraps(r, b, stopped)
	nginxLog("start worker processes")
	waitForever(stopped)
}

func nginxLog(text string) {
	pid := os.Getpid()
	fmt.Fprintf(os.Stderr, "%s [notice] %d#%d: %s\n", time.Now().Format("2006/01/02 15:04:05"), pid, pid, text)
}

// configure reads the configuration files, sets the log format and logs it as the services do.
func configure(r role.Role, b behaviour.Behaviour, o *options.Options) {
	o.FindConfig(r.Name)
	for _, path := range []string{o.Config, o.CommonConfig} {
		if path == "" {
			continue
		}
		log.Infof("Use configuration file: %s", path)
		if err := o.ReadConfig(path); err != nil {
			log.Fatalf("Parse configuration file: %v", err)
		}
	}
	log.Infof("Set log level to %q", "info")
	if b.LogFormat == "new" {
		log.SetLayout(log.Late)
	}
	if o.LogFilePrefix != "" {
		if err := log.ToFile(o.LogFilePrefix); err != nil {
			log.Fatalf("log file: %v", err)
		}
	}
}

// initDatabase logs the database settings of a service with a schema, including the password, and
// does the work of init containers.
func initDatabase(r role.Role, b behaviour.Behaviour, o options.Options) {
	if r.DB == "" {
		return
	}
	if o.SQLConnection != "" {
		log.Infof("database dialect: %s sqlStr: %s", "mysql", o.SQLConnection)
	}
	if !o.AutoSyncTable {
		return
	}
	for _, table := range []string{"opslog_tbl", "tasks_tbl", "tenant_cache_tbl"} {
		log.Infof("Sync table %s.%s", r.DB, table)
	}
	switch b.Init {
	case "stuck":
		log.Infof("Waiting for the metadata lock of %s", r.DB)
		time.Sleep(behaviour.Forever)
	case "fail":
		log.Fatalf("database schema not in sync!")
	}
}

// usr1Of returns the reaction of a kind of program to USR1.
var usr1Of = map[role.Kind]string{
	role.App: "dump", role.Console: "dump", role.Deployer: "dump", role.Health: "dump",
	role.Plain: "none", role.Climc: "none", role.Caddy: "reload", role.Nginx: "reopen",
}

// stops are the kinds that trap the stop signals.
var stops = map[role.Kind]bool{role.App: true, role.Deployer: true, role.Caddy: true, role.Nginx: true}

func registerTraps(r role.Role, b behaviour.Behaviour, stopped chan struct{}) {
	usr1 := b.USR1
	if usr1 == "" {
		usr1 = usr1Of[r.Kind]
	}
	traps := map[string]signalutils.Trap{
		"dump":    func() { dump(b) },
		"restart": func() { dump(b); time.AfterFunc(b.RestartAfter, func() { os.Exit(1) }) },
		"exit":    func() { os.Exit(128 + int(syscall.SIGUSR1)) },
		"reload":  reload,
		"reopen":  func() { nginxLog("signal 10 (SIGUSR1) received from 0, reopening logs") },
	}
	switch usr1 {
	case "none": // the Go runtime catches the signal and ignores it
	case "ignore":
		signal.Ignore(syscall.SIGUSR1)
	default:
		signalutils.RegisterSignal(traps[usr1], syscall.SIGUSR1)
	}
	if stops[r.Kind] {
		stop := func() {
			log.Infof("Quit signal received!!! do cleanup...")
			time.Sleep(b.Shutdown) // in the only trap goroutine: no dump meanwhile
			close(stopped)
			select {} // a second signal is not handled
		}
		signalutils.RegisterSignal(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	}
	signalutils.StartTrap()
}

// dump writes the goroutines as the services do: to the log's writer, without its mutex.
func dump(b behaviour.Behaviour) {
	to := log.Out()
	if b.DumpPause > 0 {
		size := new(faults.Counter)
		if err := utils.DumpAllGoroutineStack(size); err != nil {
			log.Errorf("dump: %v", err)
		}
		to = &faults.Pausing{To: to, After: size.Bytes / 2, Pause: b.DumpPause}
	}
	if err := utils.DumpAllGoroutineStack(to); err != nil {
		log.Errorf("dump: %v", err)
	}
}

// reload imitates Caddy's reaction to USR1, in its own log format, on the standard output.
func reload() {
	fmt.Println("[INFO] SIGUSR1: Reloading")
	fmt.Println("[INFO] Reloading")
	fmt.Println("[INFO] Reloading complete")
}
