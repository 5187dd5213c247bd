// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package lockman is the in-memory lock manager of the services, reduced to the stacks of its
// goroutines in a dump: those that wait for a key that another one holds.
package lockman

import (
	"sync"

	"cloudpods.lab/services/pkg/log"
)

// SInMemoryLockRecord is the lock of one key.
type SInMemoryLockRecord struct {
	lock sync.Mutex
	cond *sync.Cond
	held bool
}

func (rec *SInMemoryLockRecord) lockContext() {
	rec.lock.Lock()
	defer rec.lock.Unlock()
	for rec.held {
		rec.cond.Wait()
	}
	rec.held = true
}

// fatalf ends the process, as the services do when one goroutine takes a lock again and again.
func (rec *SInMemoryLockRecord) fatalf(format string, args ...any) { log.Fatalf(format, args...) }

// DieOfRecursion ends the process as a goroutine does that locks one key too often.
func DieOfRecursion(key string) {
	new(SInMemoryLockRecord).fatalf("Too many recursive locks!!! key=[%s]", key)
}

// SInMemoryLockManager has one record a key.
type SInMemoryLockManager struct {
	tableLock sync.Mutex
	lockTable map[string]*SInMemoryLockRecord
}

// NewInMemoryLockManager returns a manager without keys.
func NewInMemoryLockManager() *SInMemoryLockManager {
	return &SInMemoryLockManager{lockTable: map[string]*SInMemoryLockRecord{}}
}

func (lockman *SInMemoryLockManager) getRecordWithLock(key string) *SInMemoryLockRecord {
	lockman.tableLock.Lock()
	defer lockman.tableLock.Unlock()
	record := lockman.lockTable[key]
	if record == nil {
		record = &SInMemoryLockRecord{}
		record.cond = sync.NewCond(&record.lock)
		lockman.lockTable[key] = record
	}
	return record
}

// LockKey takes a key, waiting while it is held.
func (lockman *SInMemoryLockManager) LockKey(key string) {
	lockman.getRecordWithLock(key).lockContext()
}

// LockObject takes the lock of an object.
func (lockman *SInMemoryLockManager) LockObject(kind, id string) {
	lockman.LockKey(kind + "-" + id)
}
