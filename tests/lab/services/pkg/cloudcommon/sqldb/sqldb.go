// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package sqldb is a pool of database connections, reduced to what its goroutines look like in a
// dump: a few that read from a database which does not answer, and those that wait for a
// connection.
package sqldb

import (
	"os"
)

// MysqlConn is one connection to a database that never answers.
type MysqlConn struct{ from *os.File }

func (mc *MysqlConn) readPacket() ([]byte, error) {
	header := make([]byte, 4)
	_, err := mc.from.Read(header)
	return header, err
}

func (mc *MysqlConn) readResultSetHeaderPacket() error {
	_, err := mc.readPacket()
	return err
}

// Query asks and waits for the answer.
func (mc *MysqlConn) Query() error { return mc.readResultSetHeaderPacket() }

// DB is a pool with a fixed number of connections.
type DB struct{ free chan *MysqlConn }

// Open returns a pool of size connections. Their other ends stay open for the life of the
// process.
func Open(size int) (*DB, error) {
	db := &DB{free: make(chan *MysqlConn, size)}
	for i := 0; i < size; i++ {
		from, silent, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		silentEnds = append(silentEnds, silent)
		db.free <- &MysqlConn{from}
	}
	return db, nil
}

// A collected end would be closed, and its reader would wake up.
var silentEnds []*os.File

func (db *DB) conn() *MysqlConn { return <-db.free }

// Query takes a connection, asks and gives the connection back.
func (db *DB) Query() error {
	conn := db.conn()
	defer func() { db.free <- conn }()
	return conn.Query()
}
