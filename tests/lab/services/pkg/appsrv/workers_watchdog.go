// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package appsrv

import (
	"time"

	"cloudpods.lab/services/pkg/log"
)

// watch checks the pools periodically, and logs those that were busy at every check
// since an earlier one.
func watch(pools []*SWorkerManager, interval time.Duration) {
	for range time.Tick(interval) {
		for _, wm := range pools {
			wm.look()
		}
	}
}

func (wm *SWorkerManager) look() {
	state := wm.State()
	if state.Queue+state.Active+state.Detached == 0 {
		wm.busyCycles = 0
		return
	}
	wm.busyCycles++
	if wm.busyCycles > 1 {
		log.Warningf("WorkerManager %s has been busy for %d cycles...", wm.name, wm.busyCycles)
	}
}
