// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package troubles

import (
	"fmt"
	"os"
	"time"

	"cloudpods.lab/services/pkg/behaviour"
	"cloudpods.lab/services/pkg/cloudcommon/db/lockman"
	"cloudpods.lab/services/pkg/cloudcommon/sqldb"
	"cloudpods.lab/services/pkg/log"
)

// SGuest is a server of the cloud.
type SGuest struct{ HostID string }

// GetHost panics when there is no guest.
//
//go:noinline
func (guest *SGuest) GetHost() string { return guest.HostID }

// Die ends the process in one of the ways of the services.
func Die(death, words string) {
	switch death {
	case "panic": // not recovered: the Go runtime prints it and ends the process with 2
		var gone *SGuest
		log.Infof("host of the guest: %s", gone.GetHost())
	case "locks":
		lockman.DieOfRecursion("server-")
	}
	log.Fatalf("%s", words)
}

// moods are the database's states in a story. A slow one takes half a second a query.
var moods = map[string]sqldb.Mood{
	"locked": {Latency: sqldb.Forever},
	"slow":   {Latency: 500 * time.Millisecond},
	"full":   {Refuses: sqldb.ErrTooMany},
	"broken": {Breaks: sqldb.ErrInvalidConn},
}

// Tell takes the database through its story.
func Tell(b behaviour.Behaviour, db *sqldb.DB) {
	chapters, err := b.Story()
	for _, chapter := range chapters {
		mood, told := moods[chapter.Mood]
		if !told {
			mood = sqldb.Mood{Latency: b.DBLatency}
		}
		if err = db.SetMood(mood); err != nil {
			break
		}
		time.Sleep(chapter.For)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "standin: db_story:", err)
		os.Exit(70)
	}
}

// etcdRetry is the time between two attempts to get a new session with etcd.
const etcdRetry = 5 * time.Second

// LoseEtcd logs the messages of a service whose etcd does not answer any more.
func LoseEtcd(after time.Duration) {
	time.Sleep(after)
	log.Errorf("fail to keepalive session: %s", "context deadline exceeded")
	for {
		log.Errorf("restart etcd session error: %v", "context deadline exceeded")
		time.Sleep(etcdRetry)
	}
}
