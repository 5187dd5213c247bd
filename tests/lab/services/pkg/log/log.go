// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package log

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// logger is the one of the process, as in the services.
var logger = struct {
	sync.Mutex
	out      io.Writer // where lines go, and what a dump is written to
	layout   string
	terminal bool
	file     io.Writer // the file of a log file prefix
}{out: os.Stderr, layout: Early, terminal: isTerminal(os.Stderr)}

// Out is the writer of the log. The services write their goroutine dumps straight to it, past the
// mutex that keeps the lines whole.
func Out() io.Writer { return logger.out }

// SetLayout changes the form of the date.
func SetLayout(layout string) {
	logger.Lock()
	defer logger.Unlock()
	logger.layout = layout
}

// ToFile sends all lines to the file path and nothing to the standard error any more, as the
// option log_file_prefix does: a dump is lost from then on.
func ToFile(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	logger.Lock()
	defer logger.Unlock()
	logger.out, logger.file, logger.terminal = io.Discard, file, false
	return nil
}

// Infof, Warningf and Errorf write one entry.
func Infof(format string, args ...any)    { write(Info, fmt.Sprintf(format, args...)) }
func Warningf(format string, args ...any) { write(Warning, fmt.Sprintf(format, args...)) }
func Errorf(format string, args ...any)   { write(Error, fmt.Sprintf(format, args...)) }

// Fatalf prints a stack, writes the entry and ends the process with 1.
func Fatalf(format string, args ...any) {
	debug.PrintStack()
	write(Fatal, fmt.Sprintf(format, args...))
	os.Exit(1)
}

func write(level Level, message string) {
	caller := callerOf()
	logger.Lock()
	defer logger.Unlock()
	line := format(entry{level, time.Now(), caller, message}, logger.layout, logger.terminal)
	to := logger.out
	if logger.file != nil {
		to = logger.file
	}
	if _, err := io.WriteString(to, line); err != nil {
		// Only the exit code can report this: a stand-in that lost its log would
		// make a test of it pass or fail for the wrong reason.
		os.Exit(70)
	}
}

// callerOf names the function that called into this package.
func callerOf() string {
	pcs := make([]uintptr, 8)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if !strings.Contains(frame.Function, "/pkg/log.") {
			return fmt.Sprintf("%s(%s:%d)", base(frame.Function), base(frame.File), frame.Line)
		}
		if !more {
			return "???"
		}
	}
}

func base(path string) string { return path[strings.LastIndex(path, "/")+1:] }

func isTerminal(file *os.File) bool {
	var attributes [64]byte // larger than any struct termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&attributes)))
	return errno == 0
}
