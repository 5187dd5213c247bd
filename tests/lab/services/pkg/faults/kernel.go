// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package faults

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// Only here the main goroutine certainly runs on the main thread, whose state is the process's.
func init() { runtime.LockOSThread() }

// LeaveMainThread lets the main goroutine, which calls it, run on any thread, as that of a real service does.
func LeaveMainThread() { runtime.UnlockOSThread() }

// StuckInKernel puts the calling thread into uninterruptible sleep, for good: it reads a file of a
// file system (FUSE) whose server never answers, like a thread on an NFS server that is
// gone. Only SIGKILL ends it. It needs the right to mount; it returns only an error.
func StuckInKernel() error {
	folder, err := os.MkdirTemp("", "disk")
	if err != nil {
		return err
	}
	server, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", server)
	if err := syscall.Mount("standin", folder, "fuse", 0, options); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	var status syscall.Stat_t
	return fmt.Errorf("the file system answered: %v", syscall.Stat(folder+"/image", &status))
}
