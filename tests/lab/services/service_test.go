// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limit is the longest wait of the tests: a minute, times TEST_PATIENCE.
var limit = func() time.Duration {
	patience, err := strconv.ParseFloat(os.Getenv("TEST_PATIENCE"), 64)
	if err != nil {
		patience = 1
	}
	return time.Duration(patience * float64(time.Minute))
}()

var binary string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "standin")
	if err == nil {
		binary = filepath.Join(folder, "services")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

// install copies the binary into a folder of the test, under a component's name.
func install(t *testing.T, component string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), component)
	if err := os.Link(binary, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a running stand-in; its standard error is read line by line.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // empty at the end of the text
	text  strings.Builder
	ended chan error
}

func launch(t *testing.T, component, behaviour string, args ...string) *process {
	t.Helper()
	return launchIn(t, nil, component, behaviour, args...)
}

// launchIn launches with attributes of the new process.
func launchIn(t *testing.T, attributes *syscall.SysProcAttr, component, behaviour string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(install(t, component), args...), lines: make(chan string, 1<<20), ended: make(chan error, 1)}
	// Other processes may use the component's port on this machine; tests of the HTTP side name one.
	if !slices.Contains(args, "--port") && !strings.Contains(behaviour, "http=") {
		behaviour = "http=off " + behaviour
	}
	p.cmd.Env, p.cmd.SysProcAttr = append(os.Environ(), "STANDIN="+behaviour), attributes
	stderr, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr, p.cmd.Stdout = writer, writer
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	go func() {
		reader := bufio.NewReader(stderr)
		for {
			line, err := reader.ReadString('\n')
			p.lines <- line
			if err != nil {
				p.lines <- ""
				p.ended <- p.cmd.Wait()
				return
			}
		}
	}()
	t.Cleanup(func() { p.cmd.Process.Kill() })
	return p
}

// await reads until a line contains text, and returns everything read since the last await.
func (p *process) await(text string) string {
	p.t.Helper()
	deadline := time.After(limit)
	start := p.text.Len()
	for {
		select {
		case line := <-p.lines:
			p.text.WriteString(line)
			if strings.Contains(line, text) {
				return p.text.String()[start:]
			}
			if line == "" {
				p.t.Fatalf("ended before %q:\n%s", text, p.text.String())
			}
		case <-deadline:
			p.t.Fatalf("no %q:\n%s", text, p.text.String())
		}
	}
}

// saw waits for a text that may have been read already.
func (p *process) saw(text string) {
	p.t.Helper()
	if !strings.Contains(p.text.String(), text) {
		p.await(text)
	}
}

// awaitLines reads count more lines.
func (p *process) awaitLines(count int) string {
	p.t.Helper()
	var read strings.Builder
	for ; count > 0; count-- {
		read.WriteString(p.await("\n"))
	}
	return read.String()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for the end of the process and returns its exit code and the rest of its output.
func (p *process) end() (int, string) {
	p.t.Helper()
	var rest strings.Builder
	deadline := time.After(limit)
	for open := true; open; {
		select {
		case line := <-p.lines:
			rest.WriteString(line)
			open = line != ""
		case <-deadline:
			p.t.Fatal("does not end:", rest.String())
		}
	}
	<-p.ended // its output is closed: it is ending
	return p.cmd.ProcessState.ExitCode(), rest.String()
}

const ready = "Start listen on"

var (
	header   = regexp.MustCompile(`(?m)^goroutine profile: total (\d+)$`)
	block    = regexp.MustCompile(`(?m)^(\d+) @(?: 0x[0-9a-f]+)+$`)
	logEntry = regexp.MustCompile(`\[(debug|info|warning|error) \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [^\n]*\n`)
)

// count returns the stated total of a dump and the sum of its blocks.
func count(t *testing.T, dump string) (stated, sum int) {
	t.Helper()
	head := header.FindStringSubmatch(dump)
	if head == nil {
		t.Fatalf("no header:\n%s", dump)
	}
	stated, _ = strconv.Atoi(head[1])
	for _, b := range block.FindAllStringSubmatch(dump, -1) {
		n, _ := strconv.Atoi(b[1])
		sum += n
	}
	return stated, sum
}

// sizeOf returns the count of the block that has a frame of function, 0 if there is none.
func sizeOf(t *testing.T, dump, function string) int {
	t.Helper()
	for _, group := range strings.Split(dump, "\n\n") {
		if strings.Contains(group, function+"+0x") {
			_, sum := count(t, "goroutine profile: total 0\n"+group)
			return sum
		}
	}
	return 0
}

// groupOf returns the count of the block that has a frame of function, which must exist.
func groupOf(t *testing.T, dump, function string) int {
	t.Helper()
	size := sizeOf(t, dump, function)
	if size == 0 {
		t.Fatalf("no %s in\n%s", function, dump)
	}
	return size
}

// dump requests a dump of a process that keeps running, and reads it up to the empty line behind its last block.
func (p *process) dump() string {
	p.t.Helper()
	p.signal(syscall.SIGUSR1)
	dump := p.await("goroutine profile: total")
	for {
		line := p.await("\n")
		dump += line
		if line != "\n" {
			continue
		}
		if stated, sum := count(p.t, dump); sum >= stated {
			return dump
		}
	}
}

// take returns one dump of a service without other output: the log of the stop ends it.
func take(t *testing.T, component, behaviour string) string {
	t.Helper()
	p := launch(t, component, "log_rate=0 "+behaviour)
	p.await(ready)
	p.signal(syscall.SIGUSR1)
	dump := p.await("goroutine profile: total")
	p.signal(syscall.SIGTERM)
	dump += p.await("Quit signal received")
	if code, _ := p.end(); code != 0 {
		t.Errorf("exit code %d after a graceful stop", code)
	}
	return dump
}

func TestDumpIsCompleteAndHasTheDumper(t *testing.T) {
	dump := take(t, "region", "")
	if stated, sum := count(t, dump); stated != sum || stated < 140 {
		t.Errorf("total %d, blocks %d", stated, sum)
	}
	for _, function := range []string{"utils.DumpAllGoroutineStack", "signalutils.StartTrap.func1", "os/signal.loop"} {
		if n := groupOf(t, dump, function); n != 1 {
			t.Errorf("%d of %s", n, function)
		}
	}
}

func TestPlantedTroubles(t *testing.T) {
	cases := []struct {
		behaviour string
		groups    map[string]int
	}{
		{"mutex_wait=7", map[string]int{"troubles.takeMutex": 7, "troubles.holdMutex": 1}},
		{"lock_wait=9", map[string]int{"lockman.(*SInMemoryLockRecord).lockContext": 9, "troubles.holdObject": 1}},
		{"chan_wait=11", map[string]int{"troubles.waitForEvent": 11}},
		{"db_wait=13 db_conns=3", map[string]int{"sqldb.(*DB).conn": 13, "sqldb.(*MysqlConn).readPacket": 3}},
		{"workers=8 worker_queue=20", map[string]int{"appsrv.(*SWorker).run": 8, "appsrv.(*responseWriterChannel).wait": 28}},
		{"deep=120", map[string]int{"troubles.descend": 1}},
		{"goroutines=10000", map[string]int{"troubles.spread.func1": 10000}},
	}
	for _, c := range cases {
		t.Run(c.behaviour, func(t *testing.T) {
			dump := take(t, "region", "idle=0 "+c.behaviour)
			for function, want := range c.groups {
				if got := groupOf(t, dump, function); got != want {
					t.Errorf("%d of %s, want %d", got, function, want)
				}
			}
		})
	}
}

func TestDistinctAndDeepStacks(t *testing.T) {
	few := len(block.FindAllString(take(t, "region", "idle=0"), -1))
	many := len(block.FindAllString(take(t, "region", "idle=0 goroutines=3000 stacks=300"), -1))
	if many-few != 300 {
		t.Errorf("%d further groups, want 300", many-few)
	}
	dump := take(t, "region", "idle=0 deep=110")
	want := 100
	if regexp.MustCompile(`^go1\.2[12]\b`).MatchString(runtime.Version()) {
		want = 25 // those record 32 frames only
	}
	if frames := strings.Count(dump, "troubles.descend+0x"); frames < want {
		t.Errorf("%d frames", frames)
	}
}

func TestLabels(t *testing.T) {
	dump := take(t, "region", "labels=14")
	if got := len(regexp.MustCompile(`(?m)^# labels: \{.*\}$`).FindAllString(dump, -1)); got != 7 {
		t.Errorf("%d label lines, want 7", got)
	}
	if got := len(header.FindAllString(dump, -1)); got != 1 {
		t.Errorf("%d headers", got)
	}
}

// The purpose of this program: log lines must really land inside the lines of a dump.
func TestDumpInterleavesWithTheLog(t *testing.T) {
	p := launch(t, "region", "log_rate=4000 goroutines=10000 stacks=600")
	p.await(ready)
	p.signal(syscall.SIGUSR1)
	text := p.await("goroutine profile: total")
	// The dumper's own block need not be the last one: read until the counts add up.
	for deadline := time.Now().Add(limit); ; {
		cut := logEntry.ReplaceAllString(text, "")
		if stated, sum := count(t, cut); stated == sum {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the dump never adds up")
		}
		text += p.awaitLines(200)
	}
	inside := regexp.MustCompile(`(?m)^[^\[\n]+\[(info|warning|error) 20`).FindAllString(text, -1)
	if len(inside) == 0 {
		t.Error("no log line landed inside a line of the dump")
	}
	t.Logf("%d log lines inside lines of the dump", len(inside))
}

func TestComponentsWithoutDumper(t *testing.T) {
	t.Parallel()
	for component, answer := range map[string]string{
		"scheduler": "", "monitor": "", "lbagent": "", "mcp-server": "", "region-dns": "[INFO] SIGUSR1: Reloading",
	} {
		t.Run(component, func(t *testing.T) {
			p := launch(t, component, "log_rate=100")
			p.await(ready)
			p.signal(syscall.SIGUSR1)
			text := ""
			if answer != "" {
				text = p.await(answer)
			}
			text += p.awaitLines(30)
			if header.MatchString(text) {
				t.Errorf("dumped:\n%s", text)
			}
		})
	}
	p := launch(t, "nginx", "", "-g", "daemon off;")
	p.await("start worker processes")
	p.signal(syscall.SIGUSR1)
	p.await("reopening logs")
}

func TestQuitWithoutTrapPrintsAllStacksAndExits2(t *testing.T) {
	for _, component := range []string{"scheduler", "monitor", "webconsole", "host-health"} {
		p := launch(t, component, "")
		p.await(ready)
		p.signal(syscall.SIGQUIT)
		p.await("SIGQUIT: quit")
		if code, rest := p.end(); code != 2 || !regexp.MustCompile(`(?m)^goroutine 1( gp=.*)? \[`).MatchString(rest) {
			t.Errorf("%s: exit %d, %s", component, code, rest)
		}
	}
}

func TestPlantedSignalFaults(t *testing.T) {
	t.Parallel()
	t.Run("ignore", func(t *testing.T) {
		p := launch(t, "region", "usr1=ignore log_rate=100")
		p.await(ready)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		if err != nil || !regexp.MustCompile(`(?m)^SigIgn:\s+[0-9a-f]*[2367abef][0-9a-f]{2}$`).Match(status) {
			t.Errorf("USR1 is not in SigIgn: %v\n%s", err, status)
		}
		p.signal(syscall.SIGUSR1)
		if text := p.awaitLines(30); header.MatchString(text) {
			t.Error("dumped")
		}
	})
	t.Run("exit", func(t *testing.T) {
		p := launch(t, "region", "usr1=exit")
		p.await(ready)
		p.signal(syscall.SIGUSR1)
		if code, rest := p.end(); code != 138 || header.MatchString(rest) {
			t.Errorf("exit %d, %s", code, rest)
		}
	})
	t.Run("restart", func(t *testing.T) {
		p := launch(t, "region", "usr1=restart restart_after=200ms log_rate=0")
		p.await(ready)
		p.signal(syscall.SIGUSR1)
		code, rest := p.end()
		if stated, sum := count(t, rest); code != 1 || stated != sum {
			t.Errorf("exit %d, total %d, blocks %d", code, stated, sum)
		}
	})
	t.Run("swallowed before the traps", func(t *testing.T) {
		p := launch(t, "region", "trap_delay=1s log_rate=0")
		p.await("Set log level")
		p.signal(syscall.SIGUSR1)
		before := p.await(ready)
		p.signal(syscall.SIGTERM)
		if _, rest := p.end(); header.MatchString(before + rest) {
			t.Error("the early signal was answered")
		}
	})
	t.Run("pause in the middle", func(t *testing.T) {
		p := launch(t, "region", "dump_pause=forever log_rate=50")
		p.await(ready)
		p.signal(syscall.SIGUSR1)
		text := p.await("goroutine profile: total") + p.awaitLines(200)
		text = logEntry.ReplaceAllString(text, "")
		if stated, sum := count(t, text); sum == 0 || sum >= stated {
			t.Errorf("total %d, blocks %d", stated, sum)
		}
	})
	t.Run("a burst collapses", func(t *testing.T) {
		p := launch(t, "region", "dump_pause=500ms log_rate=0")
		p.await(ready)
		p.signal(syscall.SIGUSR1)
		text := p.await("goroutine profile: total")
		for i := 0; i < 4; i++ {
			p.signal(syscall.SIGUSR1)
		}
		text += p.await("goroutine profile: total")
		p.signal(syscall.SIGTERM)
		if _, rest := p.end(); len(header.FindAllString(text+rest, -1)) != 2 {
			t.Error("five signals, but not two dumps")
		}
	})
	t.Run("no dump during a stop", func(t *testing.T) {
		p := launch(t, "region", "shutdown=1s log_rate=0")
		p.await(ready)
		p.signal(syscall.SIGTERM)
		p.await("Quit signal received")
		p.signal(syscall.SIGUSR1)
		if code, rest := p.end(); code != 0 || header.MatchString(rest) {
			t.Errorf("exit %d, %s", code, rest)
		}
	})
}

func TestLostDumps(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	config := filepath.Join(folder, "region.conf")
	if err := os.WriteFile(config, []byte("log_file_prefix: "+folder+"/by-config\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		behaviour string
		args      []string
		dumped    bool
	}{
		"by-flag":   {"", []string{"--log-file-prefix", folder + "/by-flag"}, false},
		"by-config": {"", []string{"--config", config}, false},
		"to-file":   {"stderr=" + folder + "/to-file", nil, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := launch(t, "region", "log_rate=100 "+c.behaviour, c.args...)
			file := filepath.Join(folder, name)
			awaitInFile(t, file, ready)
			p.signal(syscall.SIGUSR1)
			if c.dumped {
				awaitInFile(t, file, "goroutine profile: total")
			}
			p.signal(syscall.SIGTERM)
			_, rest := p.end()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if header.MatchString(rest) || header.Match(data) != c.dumped {
				t.Errorf("on stderr: %q\nin the file: %q", rest, data)
			}
		})
	}
}

func awaitInFile(t *testing.T, path, text string) {
	t.Helper()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), text) {
			return
		}
	}
	t.Fatalf("no %q in %s", text, path)
}

func TestInitContainer(t *testing.T) {
	t.Parallel()
	args := []string{"--auto-sync-table", "--exit-after-db-init"}
	for behaviour, want := range map[string]int{"": 0, "init=fail": 1} {
		p := launch(t, "region", behaviour, args...)
		if code, rest := p.end(); code != want {
			t.Errorf("%q: exit %d: %s", behaviour, code, rest)
		}
	}
	p := launch(t, "region", "init=stuck", args...)
	p.await("Waiting for the metadata lock")
	select {
	case <-p.ended:
		t.Error("a stuck init ended")
	case <-time.After(300 * time.Millisecond):
	}
}

func TestStartFailures(t *testing.T) {
	for name, p := range map[string]*process{
		"crash":              launch(t, "region", "start=crash"),
		"missing config":     launch(t, "region", "", "--config", "/nonexistent/region.conf"),
		"unknown option":     launch(t, "region", "", "--nonsense"),
		"unknown behaviour":  launch(t, "region", "nonsense=1"),
		"region-dns with -v": launch(t, "region-dns", "", "-v"),
	} {
		if code, rest := p.end(); code == 0 {
			t.Errorf("%s: exit 0: %s", name, rest)
		}
	}
}

func TestDeaths(t *testing.T) {
	t.Parallel()
	for death, want := range map[string]struct {
		code  int
		texts []string
	}{
		"exit":  {1, []string{"[fatal ", "region gives up"}},
		"panic": {2, []string{"\npanic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV", "(*SGuest).GetHost(", "goroutine "}},
		"locks": {1, []string{"[fatal ", "lockman.(*SInMemoryLockRecord).fatalf(inmemory.go:", "Too many recursive locks!!! key=[server-]"}},
	} {
		t.Run(death, func(t *testing.T) {
			code, rest := launch(t, "region", "life=10ms death="+death).end()
			if code != want.code {
				t.Errorf("exit %d", code)
			}
			for _, text := range want.texts {
				if !strings.Contains(rest, text) {
					t.Errorf("no %q in:\n%s", text, rest)
				}
			}
		})
	}
	if code, rest := launch(t, "region", "start=crash death=panic").end(); code != 2 || !strings.Contains(rest, "\npanic: ") {
		t.Errorf("exit %d at the start: %s", code, rest)
	}
}

func TestLostEtcdIsLoggedRepeatedly(t *testing.T) {
	t.Parallel()
	p := launch(t, "region", "log_rate=0 etcd_lost=10ms")
	p.await("] fail to keepalive session: ")
	p.await("] restart etcd session error: ")
	p.await("] restart etcd session error: ")
}

// The main thread is in uninterruptible sleep, and the service keeps running.
func TestStuckDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("mounts need root")
	}
	p := launchIn(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}, "glance", "disk=stuck log_rate=50", "--port", "0")
	p.await(ready)
	path := fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		status, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(status), "\nState:\tD ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("its main thread does not hang:\n%s", status)
		}
	}
	p.signal(syscall.SIGUSR1)
	p.await("goroutine profile: total")
	p.awaitLines(100)
}

func TestVersion(t *testing.T) {
	cases := map[string]string{
		"region":     `^Yunion cloud version:\n\{\n  "major": "0",\n(?s:.*)"platform": "linux/[a-z0-9]+"\n\}$`,
		"climc":      `^Yunion API client version:\n \{\n(?s:.*)\}\n$`,
		"region-dns": `^CoreDNS-1\.10\.1\nlinux/[a-z0-9]+, go`,
	}
	for component, want := range cases {
		out, err := exec.Command(install(t, component), "--version").Output()
		if err != nil || !regexp.MustCompile(want).Match(out) {
			t.Errorf("%s: %v: %q", component, err, out)
		}
	}
	short, err := exec.Command(install(t, "region"), "-v").Output()
	if err != nil || !strings.HasPrefix(string(short), "Yunion cloud version:\n{") {
		t.Errorf("-v: %v: %q", err, short)
	}
}

func TestVersionAllocates(t *testing.T) {
	cmd := exec.Command(install(t, "region"), "-v")
	cmd.Env = append(os.Environ(), "STANDIN=version_alloc=128")
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if kib := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; kib < 128<<10 {
		t.Errorf("resident %d KiB", kib)
	}
}

// The README's table has every key of the behaviour.
func TestReadmeListsEveryBehaviour(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("pkg/behaviour/behaviour.go")
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile(`(?m)^\t\t"([a-z0-9_]+)":`).FindAllSubmatch(source, -1)
	if len(keys) < 25 {
		t.Fatalf("found %d keys in the source", len(keys))
	}
	for _, key := range keys {
		if !strings.Contains(string(readme), "| `"+string(key[1])) {
			t.Errorf("README.md does not have %s", key[1])
		}
	}
}
