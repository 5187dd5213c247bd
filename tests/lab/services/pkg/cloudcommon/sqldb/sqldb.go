// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package sqldb is a pool of database connections: how many there may be, who waits for one, and
// what the goroutines of both look like in a dump. The database at the other end answers every
// query with nothing, after a while or never, or with an error.
package sqldb

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Forever is the latency of a database that never answers.
const Forever = time.Duration(1<<63 - 1)

// The driver's own words for a connection that broke, and the server's for one that it does not take.
var (
	ErrInvalidConn = errors.New("invalid connection")
	ErrTooMany     = errors.New("Error 1040: Too many connections")
)

// Mood is what a database does: how long it takes for an answer, and what it refuses new connections
// with or breaks queries with, if anything.
type Mood struct {
	Latency         time.Duration
	Refuses, Breaks error
}

// MysqlConn is one connection.
type MysqlConn struct {
	db           *DB
	from, silent *os.File // nobody writes to silent: the database's time is the deadline of reading
}

func dial(db *DB) (*MysqlConn, error) {
	from, silent, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &MysqlConn{db, from, silent}, nil
}

// readPacket reads what the database says; nil when it has answered. What it does by then counts, not
// what it did when it was asked.
func (mc *MysqlConn) readPacket() error {
	if err := mc.db.await(mc); err != nil {
		return err
	}
	_, err := mc.from.Read(make([]byte, 4))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return mc.db.answered(mc)
	}
	return fmt.Errorf("%w: %v", ErrInvalidConn, err)
}

// wait makes the answer come so late. It may be called while somebody reads.
func (mc *MysqlConn) wait(latency time.Duration) error {
	if latency == Forever {
		return mc.from.SetReadDeadline(time.Time{})
	}
	return mc.from.SetReadDeadline(time.Now().Add(latency))
}

func (mc *MysqlConn) readResultSetHeaderPacket() error { return mc.readPacket() }

// Query asks and waits for the answer.
func (mc *MysqlConn) Query() error { return mc.readResultSetHeaderPacket() }

// Stats is what /db_stats says, under the names of database/sql.
type Stats struct {
	Idle              int           `json:"idle"`
	InUse             int           `json:"in_use"`
	MaxIdleClosed     int64         `json:"max_idle_closed"`
	MaxIdleTimeClosed int64         `json:"max_idle_time_closed"`
	MaxLifetimeClosed int64         `json:"max_lifetime_closed"`
	MaxOpen           int           `json:"max_open_connections"`
	Open              int           `json:"open_connections"`
	WaitCount         int64         `json:"wait_count"`
	WaitDuration      time.Duration `json:"wait_duration"` // nanoseconds, of the waits that are over
}

// DB is a pool of up to max connections, each opened when it is first needed.
type DB struct {
	slots   chan struct{} // one for each connection in use
	lock    sync.Mutex
	mood    Mood
	idle    []*MysqlConn
	waiting map[*MysqlConn]struct{} // for an answer
	stats   Stats
}

// Open returns a pool without connections to a database that takes so long for each answer.
func Open(max int, latency time.Duration) *DB {
	return &DB{slots: make(chan struct{}, max), mood: Mood{Latency: latency}, waiting: map[*MysqlConn]struct{}{},
		stats: Stats{MaxOpen: max}}
}

// SetMood changes what the database does, for those that wait for its answer, too.
func (db *DB) SetMood(mood Mood) error {
	db.lock.Lock()
	defer db.lock.Unlock()
	db.mood = mood
	for conn := range db.waiting {
		if err := conn.wait(mood.Latency); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) await(conn *MysqlConn) error {
	db.lock.Lock()
	defer db.lock.Unlock()
	db.waiting[conn] = struct{}{}
	return conn.wait(db.mood.Latency)
}

func (db *DB) answered(conn *MysqlConn) error {
	db.lock.Lock()
	defer db.lock.Unlock()
	delete(db.waiting, conn)
	return db.mood.Breaks
}

// conn takes a connection, and waits for one while all are in use.
func (db *DB) conn() (*MysqlConn, error) {
	select {
	case db.slots <- struct{}{}:
	default:
		db.lock.Lock()
		db.stats.WaitCount++
		db.lock.Unlock()
		began := time.Now()
		db.slots <- struct{}{}
		db.lock.Lock()
		db.stats.WaitDuration += time.Since(began)
		db.lock.Unlock()
	}
	db.lock.Lock()
	defer db.lock.Unlock()
	if db.mood.Refuses != nil {
		<-db.slots
		return nil, db.mood.Refuses
	}
	if last := len(db.idle) - 1; last >= 0 {
		conn := db.idle[last]
		db.idle = db.idle[:last]
		db.stats.InUse++
		return conn, nil
	}
	conn, err := dial(db)
	if err != nil {
		<-db.slots
		return nil, err
	}
	db.stats.InUse++
	db.stats.Open++
	return conn, nil
}

func (db *DB) putConn(conn *MysqlConn) {
	db.lock.Lock()
	db.idle = append(db.idle, conn)
	db.stats.InUse--
	db.lock.Unlock()
	<-db.slots
}

// Query takes a connection, asks and gives the connection back.
func (db *DB) Query() error {
	conn, err := db.conn()
	if err != nil {
		return err
	}
	defer db.putConn(conn)
	return conn.Query()
}

// Stats counts the connections and the waits for one.
func (db *DB) Stats() Stats {
	db.lock.Lock()
	defer db.lock.Unlock()
	stats := db.stats
	stats.Idle = stats.Open - stats.InUse
	return stats
}
