// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package appsrv

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// ProcessStats is the part of /process_stats about the process itself.
type ProcessStats struct {
	CPUPercent   float64 `json:"cpu_percent"` // average since its start
	GoroutineNum int     `json:"goroutine_num"`
	MemPercent   float32 `json:"mem_percent"` // resident
	MemSize      uint64  `json:"mem_size"`    // allocated heap, in bytes
}

var began = time.Now()

// Process returns the figures of this process.
func Process() (ProcessStats, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return ProcessStats{}, fmt.Errorf("getrusage: %w", err)
	}
	resident, err := kibibytes("/proc/self/status", "VmRSS:")
	if err != nil {
		return ProcessStats{}, err
	}
	total, err := kibibytes("/proc/meminfo", "MemTotal:")
	if err != nil {
		return ProcessStats{}, err
	}
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return ProcessStats{
		CPUPercent:   100 * float64(cpu) / float64(time.Since(began)),
		GoroutineNum: runtime.NumGoroutine(),
		MemPercent:   float32(100 * float64(resident) / float64(total)),
		MemSize:      heap.Alloc,
	}, nil
}

// kibibytes reads one figure from a file of /proc.
func kibibytes(path, key string) (uint64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for _, line := range bytes.Split(data, []byte("\n")) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == key {
			return strconv.ParseUint(string(fields[1]), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, key)
}
