// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package behaviour reads the differences of a stand-in from a healthy service.
//
// It is read from one environment variable, STANDIN, as key=value words with blanks between, so that the
// command line stays what the operator makes it, and so that a program started beside the service
// (its own "-v" by exec) behaves as the service would.
package behaviour

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Variable is the name of the environment variable.
const Variable = "STANDIN"

// Forever is the duration written as "forever".
const Forever = time.Duration(1<<63 - 1)

// Behaviour holds every key; README.md has the table.
type Behaviour struct {
	// Identity.
	Release string // one of releases: which of the differences between releases it has

	// Start, end and files.
	Init      string        // done | stuck | fail
	Start     string        // run | crash
	Life      time.Duration // after which it ends; 0 for no end
	Death     string        // one of deathValues: how it ends, at the start or after its life
	Once      string        // a file: where it exists, life and heap_growth are over
	TrapDelay time.Duration // from the start to the registration of the signal traps
	Shutdown  time.Duration // how long a graceful stop takes
	Stderr    string        // a path that replaces the standard error
	Disk      string        // ok | stuck: the main thread waits in the kernel for a file system

	// Reaction to signals.
	USR1         string        // empty: as the role does; else one of usr1Values
	RestartAfter time.Duration // from the dump to the exit, for usr1=restart
	DumpPause    time.Duration // a pause in the middle of a dump

	// Version output.
	VersionBranch string
	VersionCommit string
	VersionAlloc  int           // MiB resident while -v runs
	VersionSleep  time.Duration // before -v prints

	// Log lines.
	LogRate      int    // entries a second
	LogFormat    string // new | old
	LogLong      int    // bytes of a long entry, one in fifty; 0 for none
	LogMultiline int    // lines of a multi-line entry, one in ten; 0 for none
	LogHostile   bool   // entries that contain pieces of dumps

	// Goroutines.
	Idle        int // a healthy service's own
	Goroutines  int // further ones, blocked on a channel
	Stacks      int // over how many different stacks those are spread
	ChanWait    int // waiting on a channel that is never closed
	LockWait    int // waiting for a key of the in-memory lock manager
	MutexWait   int // waiting in sync.(*Mutex).Lock
	DBWait      int // waiting for a connection of an exhausted pool
	DBConns     int // size of that pool, every connection reading from the database
	Workers     int // size of a worker pool, every worker blocked
	WorkerQueue int // clients waiting for that pool
	Labels      int // goroutines with profiler labels, hostile ones among them
	Deep        int // frames of one deep stack; 0 for none
	Churn       int // short goroutines a second
	Leak        int // goroutines a second that stay for ever

	// Memory and processor.
	Heap       int // MiB that stay allocated
	HeapGrowth int // MiB a second more
	HeapMost   int // MiB at which it stops growing; 0 for never
	Spin       int // percent of one processor, in two functions, three to one
	Contend    int // goroutines that contend for one lock

	HTTP
}

// HTTP is the part that concerns the HTTP side.
type HTTP struct {
	Serve     string        // on | off | plain | deaf
	PingReady time.Duration // until when the scheduler is not ready

	// Certificate.
	CertDays int    // until it ends; 0: ended just now
	CertName string // instead of the component's own names
	CertCA   string // where to write the certificate of the authority

	// Faults of responses.
	Fault     string // one of faultValues
	FaultPath string // of the requests with the fault; * for all
	FaultNot  string // the only path without the fault; empty for none
	FaultSize int    // MiB of fault=huge

	// Requests of the stand-in to itself, and their faults.
	HTTPRate    int           // requests a second
	HTTPBurst   int           // number of those that are sent at once
	HTTPStorm   int           // requests at once, at the start
	HTTPPath    string        // of the storm and of most of the rate; empty: the component's main one
	HTTPSlow    time.Duration // duration of a request of that path
	HTTPErrors  int           // percent of ordinary requests that end with 500
	HTTPTimeout time.Duration // after which a request times out
	Watchdog    time.Duration // between two checks of the worker pools

	DBMax     int           // size of the database pool
	DBLatency time.Duration // of every query
	DBStory   string        // moods of the database in sequence; see Story

	// Etcd.
	EtcdLost time.Duration // after which the session with etcd breaks again and again; 0 for never

	// Tasks of a worker pool.
	Pool      string
	PoolTasks int           // at the start
	PoolRate  int           // a second
	PoolTime  time.Duration // duration of each

	// Cron jobs.
	CronBurst int           // due at the start
	CronTime  time.Duration // duration of each

	// Keystone.
	AuthUser     string
	AuthPassword string
	AccessKey    string
	SecretKey    string
	TokenLife    time.Duration
	TokenSays    time.Duration // the lifetime that its expires_at claims; 0: the true one
	Catalog      string        // path of a JSON file
}

// AtLeast compares the release.
func (b Behaviour) AtLeast(release string) bool {
	return index(releases, b.Release) >= index(releases, release)
}

func index(words []string, word string) int {
	for i, each := range words {
		if each == word {
			return i
		}
	}
	panic(word + " is none of " + strings.Join(words, ", "))
}

// Default is a healthy service.
func Default() Behaviour {
	return Behaviour{
		Release: "4.0",
		Init:    "done", Start: "run", RestartAfter: 3 * time.Second, Death: "exit", Disk: "ok",
		VersionBranch: "release/4.0", VersionCommit: "2de295222d0f4c7e9f0b5a3f6f1f0b8a1c5d7e90",
		LogRate: 1, LogFormat: "new", Idle: 140, Stacks: 1, DBConns: 5,
		HTTP: HTTP{
			Serve: "on", CertDays: 365, FaultPath: "*", FaultSize: 100,
			HTTPBurst: 1, HTTPTimeout: time.Minute, Watchdog: 30 * time.Second,
			DBMax: 55, DBLatency: time.Millisecond, PoolTime: Forever, CronTime: 10 * time.Second,
			AuthUser: "sysadmin", AuthPassword: "standin-admin-password",
			AccessKey: "standin-access-key", SecretKey: "standin-secret-key", TokenLife: 24 * time.Hour,
		},
	}
}

// The closed sets of values.
var (
	initValues   = []string{"done", "stuck", "fail"}
	startValues  = []string{"run", "crash"}
	deathValues  = []string{"exit", "panic", "locks"}
	diskValues   = []string{"ok", "stuck"}
	moodValues   = []string{"ok", "locked", "slow", "full", "broken"}
	formatValues = []string{"new", "old"}
	releases     = []string{"3.8", "3.9", "3.10", "3.11", "4.0"}
	serveValues  = []string{"on", "off", "plain", "deaf"}
	faultValues  = []string{"hang", "drip", "huge", "bad-json", "bad-utf8", "empty", "html", "gzip", "cut",
		"short", "reset", "close", "redirect", "unavailable",
		"forbidden", "die", "bomb", "random", "endless", "hostile"}
	usr1Values = []string{"dump", "none", "ignore", "exit", "restart", "reload", "reopen"}
)

// FromEnv reads the variable of this process.
func FromEnv() (Behaviour, error) { return Parse(os.Getenv(Variable)) }

// Parse reads the value of the variable. An unknown key or a bad value is an error: a planted
// fault that was misspelt would otherwise look like a healthy service.
func Parse(text string) (Behaviour, error) {
	b := Default()
	b.VersionBranch, b.LogFormat = "", "" // follow the release
	setters := map[string]func(string) error{
		"init":            word(&b.Init, initValues),
		"start":           word(&b.Start, startValues),
		"trap_delay":      duration(&b.TrapDelay),
		"shutdown":        duration(&b.Shutdown),
		"stderr":          plain(&b.Stderr),
		"usr1":            word(&b.USR1, usr1Values),
		"restart_after":   duration(&b.RestartAfter),
		"dump_pause":      duration(&b.DumpPause),
		"version_branch":  plain(&b.VersionBranch),
		"version_commit":  plain(&b.VersionCommit),
		"version_alloc":   number(&b.VersionAlloc),
		"version_sleep":   duration(&b.VersionSleep),
		"log_rate":        number(&b.LogRate),
		"log_format":      word(&b.LogFormat, formatValues),
		"log_long":        number(&b.LogLong),
		"log_multiline":   number(&b.LogMultiline),
		"log_hostile":     boolean(&b.LogHostile),
		"idle":            number(&b.Idle),
		"goroutines":      number(&b.Goroutines),
		"stacks":          number(&b.Stacks),
		"chan_wait":       number(&b.ChanWait),
		"lock_wait":       number(&b.LockWait),
		"mutex_wait":      number(&b.MutexWait),
		"db_wait":         number(&b.DBWait),
		"db_conns":        number(&b.DBConns),
		"workers":         number(&b.Workers),
		"worker_queue":    number(&b.WorkerQueue),
		"labels":          number(&b.Labels),
		"deep":            number(&b.Deep),
		"churn":           number(&b.Churn),
		"leak":            number(&b.Leak),
		"heap":            number(&b.Heap),
		"heap_growth":     number(&b.HeapGrowth),
		"spin":            number(&b.Spin),
		"contend":         number(&b.Contend),
		"once":            plain(&b.Once),
		"life":            duration(&b.Life),
		"death":           word(&b.Death, deathValues),
		"disk":            word(&b.Disk, diskValues),
		"heap_most":       number(&b.HeapMost),
		"http_burst":      number(&b.HTTPBurst),
		"release":         word(&b.Release, releases),
		"http":            word(&b.Serve, serveValues),
		"ping_ready":      duration(&b.PingReady),
		"cert_days":       number(&b.CertDays),
		"cert_name":       plain(&b.CertName),
		"cert_ca":         plain(&b.CertCA),
		"http_fault":      word(&b.Fault, faultValues),
		"http_fault_path": plain(&b.FaultPath),
		"http_fault_size": number(&b.FaultSize),
		"http_fault_not":  plain(&b.FaultNot),
		"http_rate":       number(&b.HTTPRate),
		"http_storm":      number(&b.HTTPStorm),
		"http_path":       plain(&b.HTTPPath),
		"http_slow":       duration(&b.HTTPSlow),
		"http_errors":     number(&b.HTTPErrors),
		"http_timeout":    duration(&b.HTTPTimeout),
		"watchdog":        duration(&b.Watchdog),
		"db_max":          number(&b.DBMax),
		"db_latency":      duration(&b.DBLatency),
		"db_story":        story(&b.DBStory),
		"etcd_lost":       duration(&b.EtcdLost),
		"cron_burst":      number(&b.CronBurst),
		"cron_time":       duration(&b.CronTime),
		"pool":            plain(&b.Pool),
		"pool_tasks":      number(&b.PoolTasks),
		"pool_rate":       number(&b.PoolRate),
		"pool_time":       duration(&b.PoolTime),
		"auth_user":       plain(&b.AuthUser),
		"auth_password":   plain(&b.AuthPassword),
		"access_key":      plain(&b.AccessKey),
		"secret_key":      plain(&b.SecretKey),
		"token_life":      duration(&b.TokenLife),
		"token_says":      duration(&b.TokenSays),
		"catalog":         plain(&b.Catalog),
	}
	for _, item := range strings.Fields(text) {
		key, value, found := strings.Cut(item, "=")
		set := setters[key]
		if !found || set == nil {
			return b, fmt.Errorf("%s: %q is not a known key=value", Variable, item)
		}
		if err := set(value); err != nil {
			return b, fmt.Errorf("%s: %s: %w", Variable, key, err)
		}
	}
	if b.VersionBranch == "" {
		b.VersionBranch = "release/" + b.Release
	}
	if b.LogFormat == "" {
		b.LogFormat = "new"
		if !b.AtLeast("3.9") {
			b.LogFormat = "old"
		}
	}
	return b, b.check()
}

// check refuses contradictory values.
func (b Behaviour) check() error {
	loads := b.HTTPRate + b.HTTPStorm + b.HTTPErrors + int(b.HTTPSlow)
	switch {
	case b.Serve != "on" && b.Serve != "plain" && loads > 0:
		return fmt.Errorf("%s: http=%s: there is nobody to send requests to", Variable, b.Serve)
	case b.Pool == "" && b.PoolTasks+b.PoolRate > 0:
		return fmt.Errorf("%s: tasks for no pool", Variable)
	case b.Watchdog == 0, b.DBMax == 0, b.HTTPBurst == 0:
		return fmt.Errorf("%s: watchdog, db_max and http_burst must be more than 0", Variable)
	case b.FaultNot != "" && b.Fault == "":
		return fmt.Errorf("%s: http_fault_not without a fault", Variable)
	case b.HTTPErrors > 100:
		return fmt.Errorf("%s: http_errors are percent", Variable)
	}
	return nil
}

func plain(to *string) func(string) error {
	return func(value string) error { *to = value; return nil }
}

func word(to *string, allowed []string) func(string) error {
	return func(value string) error {
		for _, candidate := range allowed {
			if value == candidate {
				*to = value
				return nil
			}
		}
		return fmt.Errorf("%q is none of %s", value, strings.Join(allowed, ", "))
	}
}

func number(to *int) func(string) error {
	return func(value string) error {
		n, err := strconv.Atoi(value)
		if err == nil && n < 0 {
			err = fmt.Errorf("%d is negative", n)
		}
		*to = n
		return err
	}
}

func boolean(to *bool) func(string) error {
	return func(value string) (err error) { *to, err = strconv.ParseBool(value); return }
}

func duration(to *time.Duration) func(string) error {
	return func(value string) (err error) {
		if value == "forever" {
			*to = Forever
			return nil
		}
		*to, err = time.ParseDuration(value)
		if err == nil && *to < 0 {
			err = fmt.Errorf("%s is negative", value)
		}
		return err
	}
}

// Chapter is one part of the story of a database.
type Chapter struct {
	Mood string // one of moodValues
	For  time.Duration
}

// Story is the sequence of a database's moods: chapters MOOD:DURATION with commas between
// them. The mood of the last one stays.
func (b Behaviour) Story() ([]Chapter, error) {
	var chapters []Chapter
	for _, text := range strings.Split(b.DBStory, ",") {
		chapter := Chapter{}
		mood, takes, _ := strings.Cut(text, ":")
		if err := word(&chapter.Mood, moodValues)(mood); err != nil {
			return nil, err
		}
		if err := duration(&chapter.For)(takes); err != nil {
			return nil, err
		}
		chapters = append(chapters, chapter)
	}
	return chapters, nil
}

func story(to *string) func(string) error {
	return func(value string) error {
		*to = value
		_, err := Behaviour{HTTP: HTTP{DBStory: value}}.Story()
		return err
	}
}
