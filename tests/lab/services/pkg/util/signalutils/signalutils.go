// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package signalutils runs traps for signals as the services do: one goroutine for all traps, fed
// by a channel with one slot, so that a burst of signals collapses and a trap that hangs holds up
// every later one.
package signalutils

import (
	"os"
	"os/signal"
)

// Trap is the handler of a signal.
type Trap func()

var (
	arrived = make(chan os.Signal, 1)
	traps   = map[os.Signal]Trap{}
)

// RegisterSignal sets the trap of some signals; call it before StartTrap.
func RegisterSignal(trap Trap, signals ...os.Signal) {
	for _, s := range signals {
		traps[s] = trap
	}
}

// StartTrap begins to catch the registered signals; until then the Go runtime swallows USR1.
func StartTrap() {
	for s := range traps {
		signal.Notify(arrived, s)
	}
	go func() {
		for s := range arrived {
			traps[s]()
		}
	}()
}
