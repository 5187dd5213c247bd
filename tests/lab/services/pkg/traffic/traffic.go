// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package traffic writes the log of a busy service.
package traffic

import (
	"fmt"
	"strings"
	"time"

	"cloudpods.lab/services/pkg/behaviour"
	"cloudpods.lab/services/pkg/log"
)

// How often the special entries come, in entries.
const (
	everyMultiline = 10
	everyLong      = 50
	everyHostile   = 7
)

// Run writes entries at the rate of the behaviour until the process ends. The time between them
// is even; a rate that the machine cannot keep up with goes as fast as it can.
func Run(b behaviour.Behaviour) {
	if b.LogRate == 0 {
		return
	}
	step := time.Second / time.Duration(b.LogRate)
	next := time.Now()
	for n := 1; ; n++ {
		next = next.Add(step)
		if wait := time.Until(next); wait > 0 {
			time.Sleep(wait)
		}
		entry(b, n)
	}
}

func entry(b behaviour.Behaviour, n int) {
	switch {
	case b.LogLong > 0 && n%everyLong == 0:
		log.Infof("request %d body %s end of %d", n, strings.Repeat("x", b.LogLong), n)
	case b.LogMultiline > 0 && n%everyMultiline == 0:
		log.Infof("[UPDATED]: %s", strings.Repeat(fmt.Sprintf("\nfield %d: old -> new", n), b.LogMultiline))
	case b.LogHostile && n%everyHostile == 0:
		log.Errorf("Send error %s", hostile[n/everyHostile%len(hostile)])
	default:
		ordinary(n)
	}
}

// hostile are messages that contain parts of stacks, as services write them for
// every HTTP status of 500 and more, and worse.
var hostile = []string{
	"InternalServerError\ngoroutine 42 [running]:\nmain.handler(0x1)\n\t/src/main.go:1 +0x1\n",
	"the client said: goroutine profile: total 3",
	"body\ngoroutine profile: total 2\n1 @ 0x1 0x2\n#\t0x1\tmain.main+0x1\t/x.go:1\n\n1 @ 0x3\n#\t0x3\tmain.other+0x1\t/x.go:2\n",
	"half a bracket [info 2026-11-23 00:22:28 main.main(main.go:1)",
}

// ordinary entries have no words of trouble: those come from real causes.
func ordinary(n int) {
	switch n % 5 {
	case 0:
		log.Infof("[GuestSyncstatusTask] stage OnInit done in %dms", 11+n%40)
	case 1:
		log.Infof("3f2a9c 200 %06x GET /servers?limit=20&scope=system (10.40.1.7:41532:webconsole) %d.%02dms", n, n%90, n%100)
	case 2:
		log.Warningf("Host 10.40.1.%d answered after %d.%02ds", n%250, n%3, n%100)
	case 3:
		log.Errorf("Send error {\"error\":{\"class\":\"NotFoundError\",\"code\":404,\"details\":\"server %d not found\"}}", n)
	default:
		log.Infof("[(GuestManager)sync_worker] task %d done", n)
	}
}
