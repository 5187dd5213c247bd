// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package sqldb is a pool of database connections: how many there may be, who waits for one, and
// what the goroutines of both look like in a dump. The database at the other end answers every
// query with nothing, after a while or never.
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

// MysqlConn is one connection.
type MysqlConn struct {
	from, silent *os.File // nobody writes to silent: the database's time is the deadline of reading
	latency      time.Duration
}

func dial(latency time.Duration) (*MysqlConn, error) {
	from, silent, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &MysqlConn{from, silent, latency}, nil
}

// readPacket reads what the database says; nil when it has answered.
func (mc *MysqlConn) readPacket() error {
	if mc.latency != Forever {
		if err := mc.from.SetReadDeadline(time.Now().Add(mc.latency)); err != nil {
			return err
		}
	}
	_, err := mc.from.Read(make([]byte, 4))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return fmt.Errorf("invalid connection: %w", err)
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
	latency time.Duration
	slots   chan struct{} // one for each connection in use
	lock    sync.Mutex
	idle    []*MysqlConn
	stats   Stats
}

// Open returns a pool without connections to a database that takes so long for each answer.
func Open(max int, latency time.Duration) *DB {
	return &DB{latency: latency, slots: make(chan struct{}, max), stats: Stats{MaxOpen: max}}
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
	if last := len(db.idle) - 1; last >= 0 {
		conn := db.idle[last]
		db.idle = db.idle[:last]
		db.stats.InUse++
		return conn, nil
	}
	conn, err := dial(db.latency)
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
