// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package sqldb is a pool of database connections: its size, the goroutines that wait for one, and
// their stacks in a dump. The simulated database answers every
// query with an empty result, after a while or never, or with an error.
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

// The driver's message for a broken connection, and the server's for a refused one.
var (
	ErrInvalidConn = errors.New("invalid connection")
	ErrTooMany     = errors.New("Error 1040: Too many connections")
)

// Mood is the state of a database: its latency, and the error with which it refuses new connections
// or breaks queries, if any.
type Mood struct {
	Latency         time.Duration
	Refuses, Breaks error
}

// MysqlConn is one connection.
type MysqlConn struct {
	db           *DB
	from, silent *os.File // nothing is written to silent: the deadline of reading simulates the latency
}

func dial(db *DB) (*MysqlConn, error) {
	from, silent, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &MysqlConn{db, from, silent}, nil
}

// readPacket reads the database's answer; nil on success. The mood at the time of the answer counts,
// not that at the time of the query.
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

// wait delays the answer by this time. It may be called during a read.
func (mc *MysqlConn) wait(latency time.Duration) error {
	if latency == Forever {
		return mc.from.SetReadDeadline(time.Time{})
	}
	return mc.from.SetReadDeadline(time.Now().Add(latency))
}

func (mc *MysqlConn) readResultSetHeaderPacket() error { return mc.readPacket() }

// Query sends a query and waits for the answer.
func (mc *MysqlConn) Query() error { return mc.readResultSetHeaderPacket() }

// Stats is the body of /db_stats, with the names of database/sql.
type Stats struct {
	Idle              int           `json:"idle"`
	InUse             int           `json:"in_use"`
	MaxIdleClosed     int64         `json:"max_idle_closed"`
	MaxIdleTimeClosed int64         `json:"max_idle_time_closed"`
	MaxLifetimeClosed int64         `json:"max_lifetime_closed"`
	MaxOpen           int           `json:"max_open_connections"`
	Open              int           `json:"open_connections"`
	WaitCount         int64         `json:"wait_count"`
	WaitDuration      time.Duration `json:"wait_duration"` // nanoseconds, of the finished waits
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

// Open returns a pool without connections to a database with this latency.
func Open(max int, latency time.Duration) *DB {
	return &DB{slots: make(chan struct{}, max), mood: Mood{Latency: latency}, waiting: map[*MysqlConn]struct{}{},
		stats: Stats{MaxOpen: max}}
}

// SetMood changes the database's mood, also for queries that are waiting.
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

// Query takes a connection, sends a query and returns the connection.
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
