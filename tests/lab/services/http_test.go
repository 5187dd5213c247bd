// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const agent = "yunioncloud-go/201708"

// service is a stand-in with a free port.
type service struct {
	*process
	url string
}

var listening = regexp.MustCompile(`Start listen on (https?)://0\.0\.0\.0:(\d+)`)

func serving(t *testing.T, component, behaviour string, args ...string) service {
	t.Helper()
	p := launch(t, component, "log_rate=0 "+behaviour, append([]string{"--port", "0"}, args...)...)
	found := listening.FindStringSubmatch(p.await(ready))
	return service{p, fmt.Sprintf("%s://127.0.0.1:%s", found[1], found[2])}
}

// client makes a new connection for each request, accepts any certificate and follows no redirect.
var client = &http.Client{
	Timeout: limit,
	Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, DisableCompression: true,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask makes a request as the services do; the elements of extra are headers, "Name:value".
func (s service) ask(method, path, body string, extra ...string) (int, string, http.Header, error) {
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	r.Header.Set("User-Agent", agent)
	for _, each := range extra {
		name, value, _ := strings.Cut(each, ":")
		r.Header.Set(name, value)
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(content), answer.Header, err
}

func (s service) get(path string) (int, string) {
	s.t.Helper()
	status, body, _, err := s.ask("GET", path, "")
	if err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	return status, body
}

func (s service) document(path string) map[string]any {
	s.t.Helper()
	status, body := s.get(path)
	var document map[string]any
	if err := json.Unmarshal([]byte(body), &document); err != nil || status != 200 {
		s.t.Fatalf("%s: %d %v in %.200s", path, status, err, body)
	}
	return document
}

// pool is an entry of /worker_stats.
type pool struct {
	Active int `json:"active_worker_cnt"`
	Queue  int `json:"queue_cnt"`
	Detach int `json:"detach_worker_cnt"`
	Max    int `json:"max_worker_cnt"`
}

func (s service) pool(name string) pool {
	s.t.Helper()
	var found struct {
		Workers []struct {
			Name string `json:"name"`
			pool
		} `json:"workers"`
	}
	_, body := s.get("/worker_stats")
	if err := json.Unmarshal([]byte(body), &found); err != nil {
		s.t.Fatal(err)
	}
	for _, each := range found.Workers {
		if each.Name == name {
			return each.pool
		}
	}
	s.t.Fatalf("no pool %s", name)
	return pool{}
}

// until polls the condition, because a counter offers no event to wait for.
func (s service) until(what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("never: %s", what)
		}
	}
}

func (s service) db() map[string]any {
	s.t.Helper()
	return s.document("/db_stats")["db_stats"].(map[string]any)
}

// shape replaces all values by the names of their types, and lists by their first element.
func shape(value any) any {
	switch value := value.(type) {
	case map[string]any:
		made := map[string]any{}
		for key, each := range value {
			made[key] = shape(each)
		}
		return made
	case []any:
		return []any{shape(value[0])}
	}
	return fmt.Sprintf("%T", value)
}

// The bodies of a real region, reduced to their first elements.
var realBodies = map[string]string{
	"/stats": `{"duration.2XX":25.6,"duration.4XX":0,"duration.5XX":0,"hit.2XX":5,"hit.4XX":0,"hit.5XX":0,"paths":[
		{"duration.2XX":0,"duration.4XX":0,"duration.5XX":0,"hit.2XX":0,"hit.4XX":0,"hit.5XX":0,"method":"*","name":"","path":"*"}]}`,
	"/worker_stats": `{"workers":[{"active_worker_cnt":0,"allow_overflow":false,"backlog":10240,"db_worker":false,
		"detach_worker_cnt":0,"max_worker_cnt":10,"name":"InformerWorkerManager","queue_cnt":0}]}`,
	"/process_stats": `{"process_stats":{"cpu_percent":0.74,"goroutine_num":148,"mem_percent":0.52,"mem_size":41079336}}`,
	"/db_stats": `{"db_stats":{"idle":4,"in_use":0,"max_idle_closed":0,"max_idle_time_closed":0,"max_lifetime_closed":0,
		"max_open_connections":55,"open_connections":4,"wait_count":0,"wait_duration":0}}`,
}

func TestBodiesHaveTheStructureOfRealOnes(t *testing.T) {
	t.Parallel()
	s := serving(t, "region", "")
	for path, body := range realBodies {
		var want map[string]any
		if err := json.Unmarshal([]byte(body), &want); err != nil {
			t.Fatal(err)
		}
		if got := s.document(path); !reflect.DeepEqual(shape(got), shape(want)) {
			t.Errorf("%s: %v, want %v", path, shape(got), shape(want))
		}
	}
	if _, body := s.get("/version"); body != "release/4.0(2de295222d26082106)" {
		t.Errorf("version %q", body)
	}
	if _, body := s.get("/ping"); body != "pong" {
		t.Errorf("ping %q", body)
	}
	if status, body, _, err := s.ask("POST", "/ping", ""); status != 200 || body != "pong" || err != nil {
		t.Errorf("POST /ping: %d %q %v", status, body, err)
	}
	if p := s.pool("InternalHttpRequestWorkerManager"); p.Active != 1 {
		t.Errorf("the request itself is not among the active: %+v", p)
	}
	if document := s.document("/db_stats/clickhouse"); len(document) != 0 {
		t.Errorf("clickhouse: %v", document)
	}
	if paths := s.document("/stats")["paths"].([]any); len(paths) < 2200 {
		t.Errorf("%d paths", len(paths))
	}
	status, body, _, err := s.ask("GET", "/nonsense", "")
	var answer map[string]any
	if err != nil || status != 404 || json.Unmarshal([]byte(body), &answer) != nil || answer["details"] != "Handler /nonsense not found" ||
		answer["code"] != 404.0 || answer["class"] == "" || answer["time"] == "" {
		t.Errorf("404: %d %q %v", status, body, err)
	}
}

// hits are the counters of one path.
func (s service) hits(method, path, counter string) int {
	s.t.Helper()
	for _, each := range s.document("/stats")["paths"].([]any) {
		if entry := each.(map[string]any); entry["method"] == method && entry["path"] == path {
			return int(entry[counter].(float64))
		}
	}
	s.t.Fatalf("no %s %s", method, path)
	return 0
}

func TestRequestsAreCountedAndLogged(t *testing.T) {
	t.Parallel()
	s := serving(t, "region", "http_errors=50")
	before := s.document("/process_stats")["process_stats"].(map[string]any)["goroutine_num"].(float64)
	if before < 140 {
		t.Errorf("%v goroutines", before)
	}
	for i := 0; i < 4; i++ {
		s.ask("GET", "/servers?limit=20", "", "X-Yunion-Peer-Service-Name:webconsole")
	}
	s.get("/servers/some-id")
	s.ask("POST", "/servers", "{}")
	s.get("/unknown")
	for _, c := range []struct {
		method, path, counter string
		want                  int
	}{
		{"GET", "/servers", "hit.2XX", 2}, {"GET", "/servers", "hit.5XX", 2}, {"GET", "/servers/.*", "hit.5XX", 1},
		{"POST", "/servers", "hit.2XX", 1}, {"*", "*", "hit.4XX", 1},
	} {
		if got := s.hits(c.method, c.path, c.counter); got != c.want {
			t.Errorf("%s %s %s: %d, want %d", c.method, c.path, c.counter, got, c.want)
		}
	}
	log := s.await("GET /unknown")
	access := regexp.MustCompile(`appsrv\.\(\*Application\)\.ServeHTTP\(appsrv\.go:\d+\)\] \S+ 500 [0-9a-f]{6} GET /servers\?limit=20 \(127\.0\.0\.1:\d+:webconsole\) \d+\.\d+ms`)
	stack := regexp.MustCompile(`Send error \{"class":"InternalServerError","code":500.*\n(?s:.{0,20})goroutine \d+ \[running\]:\n`)
	if !access.MatchString(log) || !stack.MatchString(log) || strings.Contains(log, "/process_stats") {
		t.Errorf("log: %s", log)
	}
}

func TestWhitelistLimitsDefaultHandlers(t *testing.T) {
	t.Parallel()
	cases := []struct {
		behaviour, path, agent string
		want                   int
	}{
		{"", "/stats", "curl/8.0", 403}, {"", "/ping", "curl/8.0", 403}, {"", "/version", "", 403},
		{"", "/worker_stats", "curl/8.0", 403}, {"", "/process_stats", "curl/8.0", 403},
		{"", "/debug/pprof/cmdline", "curl/8.0", 403},
		{"", "/db_stats", "curl/8.0", 200}, {"", "/ping", "kube-probe/1.34", 200},
		{"", "/ping", "x YunionCloud-Go/201708 y", 200}, {"release=3.11", "/stats", "curl/8.0", 200},
	}
	running := map[string]service{}
	for _, c := range cases {
		s, known := running[c.behaviour]
		if !known {
			s = serving(t, "keystone", c.behaviour, "--enable-app-profiling")
			running[c.behaviour] = s
		}
		status, body, _, err := s.ask("GET", c.path, "", "User-Agent:"+c.agent)
		if status != c.want || err != nil || status == 403 && !strings.Contains(body, `"class":"Forbidden","code":403`) {
			t.Errorf("%q %s by %q: %d %.100q %v", c.behaviour, c.path, c.agent, status, body, err)
		}
	}
	running[""].await("Forbidden default handler request: curl/8.0 allow: ")
}

// answers has the status of each component for GET of these paths; 0: the connection is closed.
func TestComponentsDifferInTheirEndpoints(t *testing.T) {
	t.Parallel()
	paths := []string{"/ping", "/version", "/stats", "/worker_stats", "/process_stats", "/db_stats", "/db_stats/x",
		"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=1", "/nonsense"}
	cases := []struct {
		component, behaviour string
		profiling            bool
		want                 []int
	}{
		{"region", "", false, []int{200, 200, 200, 200, 200, 200, 200, 404, 404, 404, 404}},
		{"region", "", true, []int{200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 404}},
		{"region", "release=3.8", false, []int{200, 200, 200, 200, 404, 200, 404, 200, 200, 200, 404}},
		{"region", "release=3.10", false, []int{200, 200, 200, 200, 200, 200, 200, 404, 404, 404, 404}},
		{"host", "", true, []int{200, 200, 200, 200, 200, 404, 404, 200, 200, 200, 404}},
		{"host-image", "", false, []int{200, 200, 200, 200, 200, 404, 404, 404, 404, 404, 404}},
		{"scheduler", "", true, []int{200, 200, 401, 401, 401, 401, 401, 200, 200, 401, 401}},
		{"scheduler", "release=3.10", true, []int{200, 200, 401, 401, 401, 401, 401, 401, 401, 401, 401}},
		{"webconsole", "", true, []int{200, 200, 200, 200, 404, 404, 404, 200, 200, 404, 404}},
		{"monitor", "", true, []int{200, 200, 200, 200, 404, 200, 200, 200, 200, 404, 404}},
		{"mcp-server", "", false, []int{200, 200, 0, 200, 200, 404, 404, 404, 404, 404, 404}},
	}
	for _, c := range cases {
		c := c
		t.Run(c.component+" "+c.behaviour, func(t *testing.T) {
			t.Parallel()
			var args []string
			if c.profiling {
				args = append(args, "--enable-app-profiling")
			}
			s := serving(t, c.component, c.behaviour, args...)
			plain := c.component == "host-image" || c.component == "mcp-server"
			if strings.HasPrefix(s.url, "http://") != plain {
				t.Errorf("listens on %s", s.url)
			}
			for i, path := range paths {
				// Another test covers the purpose of the whitelist; components without one accept any name.
				status, body, _, err := s.ask("GET", path, "")
				if status != c.want[i] || (err != nil) != (c.want[i] == 0) {
					t.Errorf("%s: %d, want %d: %.80s %v", path, status, c.want[i], body, err)
				}
			}
		})
	}
	t.Run("nothing listens", func(t *testing.T) {
		for _, component := range []string{"host-deployer", "host-health", "lbagent", "region-dns", "etcd"} {
			p := launch(t, component, "http=on")
			p.await(ready)
			sockets, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
			if err != nil || len(sockets) == 0 {
				t.Fatal(err, sockets)
			}
			for _, each := range sockets {
				if target, err := os.Readlink(each); err == nil && strings.HasPrefix(target, "socket:") {
					t.Errorf("%s has %s", component, target)
				}
			}
		}
	})
}

func TestSchedulerLogsItsSwitch(t *testing.T) {
	t.Parallel()
	s := serving(t, "scheduler", "ping_ready=1s")
	if status, _ := s.get("/ping"); status != 400 {
		t.Errorf("ready at once: %d", status)
	}
	s.until("ready", func() bool { status, _ := s.get("/ping"); return status == 200 })
	if said := s.text.String(); strings.Contains(said, "SWITCHED") {
		t.Errorf("switched by other paths: %s", said)
	}
	s.get("/switch")
	s.await("Scheduler SWITCHED to true by GET " + agent)
}

// A small copy of the region of section J of the facts page.
func TestStuckDatabaseFillsThePoolThenDetachesWorkers(t *testing.T) {
	t.Parallel()
	// All requests must arrive before the first one times out. Without TLS that takes a small part of the time.
	s := serving(t, "region", "http=plain db_latency=forever http_storm=760 http_timeout=15s watchdog=1s")
	s.until("the queue is full", func() bool { return s.pool("HttpGetRequestWorkerManager").Queue == 640 })
	if p := s.pool("HttpGetRequestWorkerManager"); p.Active != 8 || p.Detach != 0 {
		t.Errorf("%+v", p)
	}
	if status, body := s.get("/servers"); status != 429 || !strings.Contains(body, "Request queue is full") {
		t.Errorf("%d %s", status, body)
	}
	if in := s.db()["in_use"].(float64); in != 8 {
		t.Errorf("%v connections in use", in)
	}
	s.signal(syscall.SIGUSR1)
	dump := s.await("net/http.(*connReader).backgroundRead")
	if !strings.Contains(dump, "stucking for a while") || !strings.Contains(dump, "]HttpGetRequestWorkerManager: queue full, task dropped") {
		t.Error("the log says nothing of it")
	}
	s.until("all are detached", func() bool { return s.pool("HttpGetRequestWorkerManager").Detach == 648 })
	if p := s.pool("HttpGetRequestWorkerManager"); p.Active != 0 || p.Queue != 0 {
		t.Errorf("%+v", p)
	}
	s.saw("WorkerManager HttpGetRequestWorkerManager has been busy for 3 cycles...")
	s.saw("detach worker ")
	if said := regexp.MustCompile(`detach worker #\d+\(0x[0-9a-f]+, detach\) GET /servers\(GET /servers\) due to reason timeout after `).FindAllString(s.text.String(), -1); len(said) == 0 {
		t.Error("no word of the detached workers")
	}
	s.until("all wait for the database", func() bool { return s.db()["wait_count"] == 593.0 })
	if db := s.db(); db["in_use"] != 55.0 || db["open_connections"] != 55.0 || db["wait_count"] != 593.0 || db["wait_duration"] != 0.0 {
		t.Errorf("%v", db)
	}
	if hits := s.hits("GET", "/servers", "hit.5XX"); hits != 648 {
		t.Errorf("%d answers of 504", hits)
	}
	if hits := s.hits("GET", "/servers", "hit.4XX"); hits != 113 {
		t.Errorf("%d answers of 429", hits)
	}
}

func TestDatabaseTroublesInSequence(t *testing.T) {
	t.Parallel()
	s := serving(t, "region", "http=plain http_storm=760 http_timeout=forever http_rate=20 db_story=locked:5s,full:1s,broken:1s,slow:0s")
	s.await("HttpGetRequestWorkerManager: queue full, task dropped")
	s.await("Error 1040: Too many connections")
	failed := regexp.MustCompile("SQuery count (SELECT .{240,}) failed: Error 1040: Too many connections\n")
	if !failed.MatchString(s.text.String()) {
		t.Errorf("no long query in %s", s.text.String())
	}
	s.await("failed: invalid connection")
	s.until("all have an answer", func() bool { return s.pool("HttpGetRequestWorkerManager").Queue == 0 })
	s.until("the database answers, and slowly", func() bool {
		began := time.Now()
		status, _ := s.get("/servers")
		return status == 200 && time.Since(began) >= 500*time.Millisecond
	})
}

func TestCronJobsAreDueAtTheStart(t *testing.T) {
	t.Parallel()
	s := serving(t, "region", "cron_burst=24 cron_time=500ms watchdog=200ms")
	before := s.text.String()
	for queue := 11; queue <= 20; queue++ {
		line := fmt.Sprintf("CronJobWorkers: BUSY activeWork 4 detachedWork 0 max 4 queue: %d\n", queue)
		if !strings.Contains(before, line) {
			t.Errorf("no %q before it listens", line)
		}
	}
	s.await("WorkerManager CronJobWorkers has been busy for 2 cycles...")
	s.until("the pool is idle", func() bool { p := s.pool("CronJobWorkers"); return p.Active+p.Queue == 0 })
}

func TestFaultSparesOnePath(t *testing.T) {
	t.Parallel()
	s := serving(t, "logger", "http_fault=unavailable http_fault_not=/ping")
	if status, body := s.get("/ping"); status != 200 || body != "pong" {
		t.Errorf("%d %s", status, body)
	}
	for _, path := range []string{"/worker_stats", "/actions"} {
		if status, _ := s.get(path); status != 503 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestDumpOfAStuckPoolShowsHoldersAndQueue(t *testing.T) {
	t.Parallel()
	s := serving(t, "region", "idle=0 db_latency=forever http_storm=100")
	s.until("all are there", func() bool { return s.pool("HttpGetRequestWorkerManager").Queue == 92 })
	// The request for the pool's state keeps its goroutine for a moment after the response has arrived. The last of the
	// hundred requests is counted in the queue before its handler waits.
	s.until("the dump shows them and nobody else", func() bool {
		dump, fits := s.dump(), true
		for function, want := range map[string]int{"appsrv.(*responseWriterChannel).wait": 100, "sqldb.(*MysqlConn).readPacket": 8,
			"net/http.(*connReader).backgroundRead": 100} {
			if got := sizeOf(t, dump, function); got != want {
				t.Logf("%d of %s, want %d", got, function, want)
				fits = false
			}
		}
		return fits
	})
}

func TestOldReleasesDoNotLogTheStuckMessage(t *testing.T) {
	t.Parallel()
	s := serving(t, "region", "release=3.10 http_slow=forever http_storm=100")
	s.until("queued", func() bool { return s.pool("HttpGetRequestWorkerManager").Queue == 92 })
	if log := s.await("BUSY activeWork 8 detachedWork 0 max 8 queue: 92"); strings.Contains(log, "stucking") {
		t.Error(log)
	}
}

func TestPlantedPoolsAndDatabases(t *testing.T) {
	t.Parallel()
	t.Run("tasks", func(t *testing.T) {
		s := serving(t, "region", "pool=CronJobWorkers pool_tasks=6 pool_rate=50")
		s.until("the queue grows", func() bool { p := s.pool("CronJobWorkers"); return p.Active == 4 && p.Queue > 20 })
	})
	t.Run("unknown pool", func(t *testing.T) {
		if code, rest := launch(t, "region", "pool=Nonsense pool_tasks=1").end(); code != 2 {
			t.Errorf("%d %s", code, rest)
		}
	})
	t.Run("internal pool", func(t *testing.T) {
		s := serving(t, "region", "pool=InternalHttpRequestWorkerManager pool_tasks=11")
		if status, _ := s.get("/stats"); status != 429 {
			t.Errorf("%d", status)
		}
	})
	t.Run("waits for connections", func(t *testing.T) {
		s := serving(t, "region", "db_max=2 db_latency=20ms http_rate=40 http_burst=8")
		s.until("waits are over", func() bool {
			db := s.db()
			return db["wait_count"].(float64) > 10 && db["wait_duration"].(float64) > 1e6
		})
		if s.hits("GET", "/servers", "hit.2XX") == 0 || s.hits("GET", "/servers", "hit.5XX") != 0 {
			t.Error("the requests do not succeed")
		}
	})
	t.Run("db_wait", func(t *testing.T) {
		s := serving(t, "region", "db_wait=13 db_conns=3")
		s.until("they wait", func() bool { db := s.db(); return db["in_use"] == 3.0 && db["wait_count"] == 13.0 })
	})
	t.Run("slow path", func(t *testing.T) {
		s := serving(t, "region", "http_slow=300ms")
		began := time.Now()
		s.get("/servers")
		if took := time.Since(began); took < 300*time.Millisecond {
			t.Errorf("took %s", took)
		}
		if status, _ := s.get("/disks"); status != 200 {
			t.Errorf("another path: %d", status)
		}
	})
	t.Run("growth", func(t *testing.T) {
		s := serving(t, "region", "leak=200 heap=20 heap_growth=20 heap_most=40")
		process := func(key string) float64 {
			return s.document("/process_stats")["process_stats"].(map[string]any)[key].(float64)
		}
		if process("mem_size") < 20<<20 {
			t.Error("no heap")
		}
		goroutines := process("goroutine_num")
		s.until("more of both", func() bool {
			return process("goroutine_num") > goroutines+100 && process("mem_size") > 39<<20
		})
	})
	t.Run("life, once", func(t *testing.T) {
		behaviour := "life=300ms heap_growth=100 once=" + filepath.Join(t.TempDir(), "once")
		if code, _ := serving(t, "region", behaviour).end(); code != 1 {
			t.Errorf("exit %d", code)
		}
		s := serving(t, "region", behaviour)
		select {
		case <-s.ended:
			t.Error("ended again")
		case <-time.After(600 * time.Millisecond):
		}
		if heap := s.document("/process_stats")["process_stats"].(map[string]any)["mem_size"].(float64); heap > 20<<20 {
			t.Errorf("grew again, to %v bytes", heap)
		}
	})
}

func TestWireFaults(t *testing.T) {
	t.Parallel()
	check := map[string]func(t *testing.T, s service, status int, body string, header http.Header, err error){
		"huge http_fault_size=3": func(t *testing.T, _ service, _ int, body string, _ http.Header, err error) {
			if len(body) < 3<<20 || err != nil {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		},
		"forbidden": func(t *testing.T, _ service, status int, _ string, _ http.Header, _ error) {
			if status != 403 {
				t.Error(status)
			}
		},
		"bomb http_fault_size=50": func(t *testing.T, _ service, _ int, body string, _ http.Header, err error) {
			if !strings.HasPrefix(body, "\x1f\x8b") || len(body) > 1<<18 || err != nil {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		},
		"random http_fault_size=3": func(t *testing.T, _ service, _ int, body string, _ http.Header, err error) {
			if !strings.HasPrefix(body, "\x1f\x8b") || len(body) < 3<<20 || err != nil {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		},
		"hostile": func(t *testing.T, _ service, _ int, body string, _ http.Header, err error) {
			if !strings.HasPrefix(body, "\x1f\x8b") || err != nil {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		},
		"bad-json": func(t *testing.T, _ service, status int, body string, _ http.Header, err error) {
			if json.Valid([]byte(body)) || status != 200 || err != nil {
				t.Errorf("%q %v", body, err)
			}
		},
		"bad-utf8": func(t *testing.T, _ service, _ int, body string, _ http.Header, err error) {
			if strings.ToValidUTF8(body, "") == body || err != nil {
				t.Errorf("%q %v", body, err)
			}
		},
		"empty": func(t *testing.T, _ service, status int, body string, _ http.Header, err error) {
			if status != 200 || body != "" || err != nil {
				t.Errorf("%d %q %v", status, body, err)
			}
		},
		"html": func(t *testing.T, _ service, _ int, body string, _ http.Header, _ error) {
			if !strings.HasPrefix(body, "<html>") {
				t.Errorf("%q", body)
			}
		},
		"gzip": func(t *testing.T, _ service, _ int, body string, header http.Header, _ error) {
			from, err := gzip.NewReader(bytes.NewReader([]byte(body)))
			if err != nil || header.Get("Content-Encoding") != "gzip" {
				t.Fatal(err, header)
			}
			if text, err := io.ReadAll(from); err != nil || !json.Valid(text) {
				t.Errorf("%q %v", text, err)
			}
		},
		"cut":   endsEarly,
		"short": endsEarly,
		"reset": func(t *testing.T, _ service, _ int, _ string, _ http.Header, err error) {
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%v", err)
			}
		},
		"close": func(t *testing.T, _ service, _ int, _ string, _ http.Header, err error) {
			if !errors.Is(err, io.EOF) {
				t.Errorf("%v", err)
			}
		},
		"redirect": func(t *testing.T, _ service, status int, _ string, header http.Header, _ error) {
			if status != 302 || header.Get("Location") != "https://elsewhere.invalid/worker_stats" {
				t.Errorf("%d %v", status, header)
			}
		},
		"unavailable": func(t *testing.T, _ service, status int, _ string, _ http.Header, _ error) {
			if status != 503 {
				t.Errorf("%d", status)
			}
		},
	}
	for fault, judge := range check {
		fault, judge := fault, judge
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := serving(t, "notify", "http_fault_path=/worker_stats http_fault="+fault)
			status, body, header, err := s.ask("GET", "/worker_stats", "")
			judge(t, s, status, body, header, err)
			if status, _ := s.get("/stats"); status != 200 {
				t.Errorf("another path: %d", status)
			}
		})
	}
}

func TestServiceEndsDuringAResponse(t *testing.T) {
	t.Parallel()
	s := serving(t, "notify", "http_fault_path=/worker_stats http_fault=die")
	if _, body, _, err := s.ask("GET", "/worker_stats", ""); body == "" || err == nil {
		t.Errorf("%q %v", body, err)
	}
	if code, _ := s.end(); code != 1 {
		t.Errorf("exit %d", code)
	}
}

func TestEndlessResponse(t *testing.T) {
	t.Parallel()
	s := serving(t, "notify", "http_fault_path=/version http_fault=endless")
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /version HTTP/1.1\r\nHost: x\r\nUser-Agent: "+agent+"\r\n\r\n")
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if read, err := io.CopyN(io.Discard, conn, 8<<20); err != nil {
		t.Errorf("%d bytes, %v", read, err)
	}
}

func endsEarly(t *testing.T, _ service, status int, body string, _ http.Header, err error) {
	t.Helper()
	if status != 200 || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(body, `{"workers":[{`) {
		t.Errorf("%d %.40q %v", status, body, err)
	}
}

// silent checks that no response arrives for a while after the request was sent.
func silent(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestUnresponsiveServices(t *testing.T) {
	t.Parallel()
	request := "GET /ping HTTP/1.1\r\nHost: x\r\nUser-Agent: " + agent + "\r\n\r\n"
	t.Run("hang", func(t *testing.T) {
		s := serving(t, "notify", "http_fault=hang")
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, request)
		silent(t, conn)
	})
	t.Run("deaf", func(t *testing.T) {
		s := serving(t, "notify", "http=deaf")
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, request)
		silent(t, conn)
	})
	t.Run("drip", func(t *testing.T) {
		s := serving(t, "notify", "http_fault=drip")
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, request)
		conn.SetReadDeadline(time.Now().Add(2500 * time.Millisecond))
		said, err := io.ReadAll(conn)
		if _, body, _ := strings.Cut(string(said), "\r\n\r\n"); body != "po" || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after 2.5 s: %q %v", said, err)
		}
	})
	t.Run("plain", func(t *testing.T) {
		s := serving(t, "notify", "http=plain")
		if status, body := s.get("/ping"); status != 200 || body != "pong" || !strings.HasPrefix(s.url, "http://") {
			t.Errorf("%s: %d %s", s.url, status, body)
		}
	})
	t.Run("the port is taken", func(t *testing.T) {
		s := serving(t, "notify", "")
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.url, "https://"))
		if code, rest := launch(t, "region", "", "--port", port).end(); code != 1 || !strings.Contains(rest, "ListAndServer fail: ") {
			t.Errorf("%d %s", code, rest)
		}
	})
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	cases := []struct {
		behaviour, name string
		fails           bool
		days            float64
	}{
		{"", "default-region.onecloud.svc", false, 365}, {"", "localhost", false, 365}, {"", "127.0.0.1", false, 365},
		{"", "default-keystone", true, 365}, {"cert_days=5", "default-region", false, 5},
		{"cert_days=0", "default-region", true, 0}, {"cert_name=other.example", "default-region", true, 365},
		{"cert_name=other.example", "127.0.0.1", true, 365}, {"cert_name=other.example", "other.example", false, 365},
	}
	for _, c := range cases {
		authority := filepath.Join(t.TempDir(), "ca.crt")
		s := serving(t, "region", "cert_ca="+authority+" "+c.behaviour)
		text, err := os.ReadFile(authority)
		if err != nil {
			t.Fatal(err)
		}
		trusted := x509.NewCertPool()
		trusted.AppendCertsFromPEM(text)
		address := strings.TrimPrefix(s.url, "https://")
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: trusted, ServerName: c.name})
		if (err != nil) != c.fails {
			t.Errorf("%+v: %v", c, err)
		}
		if err == nil {
			conn.Close()
		}
		conn, err = tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		left := time.Until(conn.ConnectionState().PeerCertificates[0].NotAfter).Hours() / 24
		if left > c.days || left < c.days-0.01 {
			t.Errorf("%+v: ends in %v days", c, left)
		}
		conn.Close()
	}
}

func TestProfilesRunInTheRequestPoolWithoutTimeout(t *testing.T) {
	t.Parallel()
	s := serving(t, "region", "http_timeout=200ms spin=50", "--enable-app-profiling")
	began := time.Now()
	status, body := s.get("/debug/pprof/profile?seconds=1")
	if status != 200 || !strings.HasPrefix(body, "\x1f\x8b") || time.Since(began) < time.Second {
		t.Errorf("%d, %d bytes after %s", status, len(body), time.Since(began))
	}
	if _, body := s.get("/debug/pprof/goroutine?debug=2"); !strings.Contains(body, "appsrv.(*SWorker).run") ||
		!strings.Contains(body, "HttpGetRequestWorkerManager") && !strings.Contains(body, "appsrv.(*appTask).Run.func1") {
		t.Errorf("%.300s", body)
	}
	if status, body, _, err := s.ask("POST", "/debug/pprof/symbol", "0x1"); status != 200 || !strings.HasPrefix(body, "num_symbols:") || err != nil {
		t.Errorf("symbol: %d %q %v", status, body, err)
	}
	full := serving(t, "region", "http_slow=forever http_storm=700", "--enable-app-profiling")
	full.until("full", func() bool { return full.pool("HttpGetRequestWorkerManager").Queue == 640 })
	if status, _ := full.get("/debug/pprof/goroutine?debug=1"); status != 429 {
		t.Errorf("with a full queue: %d", status)
	}
}
