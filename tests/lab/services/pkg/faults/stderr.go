// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package faults

import (
	"fmt"
	"syscall"
)

// ReplaceStderr makes the standard error of this process the file path.
func ReplaceStderr(path string) error {
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := syscall.Dup3(fd, 2, 0); err != nil {
		return fmt.Errorf("dup3: %w", err)
	}
	return syscall.Close(fd)
}
