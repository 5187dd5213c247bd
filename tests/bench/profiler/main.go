// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command profiler writes a heap profile of itself with a given number of different stacks, each the path of a
// request through functions that call one another.
package main

import (
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
)

type call func(way []byte) []byte

var calls [64]call

var kept [][]byte

func next(way []byte) []byte {
	if len(way) == 0 {
		return make([]byte, 16+len(kept)%64)
	}
	return calls[way[0]](way[1:])
}

//go:noinline
func listServer(way []byte) []byte { return next(way) }

//go:noinline
func listDisk(way []byte) []byte { return next(way) }

//go:noinline
func listNetwork(way []byte) []byte { return next(way) }

//go:noinline
func listImage(way []byte) []byte { return next(way) }

//go:noinline
func listHost(way []byte) []byte { return next(way) }

//go:noinline
func listWire(way []byte) []byte { return next(way) }

//go:noinline
func listQuota(way []byte) []byte { return next(way) }

//go:noinline
func listTask(way []byte) []byte { return next(way) }

//go:noinline
func getServer(way []byte) []byte { return next(way) }

//go:noinline
func getDisk(way []byte) []byte { return next(way) }

//go:noinline
func getNetwork(way []byte) []byte { return next(way) }

//go:noinline
func getImage(way []byte) []byte { return next(way) }

//go:noinline
func getHost(way []byte) []byte { return next(way) }

//go:noinline
func getWire(way []byte) []byte { return next(way) }

//go:noinline
func getQuota(way []byte) []byte { return next(way) }

//go:noinline
func getTask(way []byte) []byte { return next(way) }

//go:noinline
func syncServer(way []byte) []byte { return next(way) }

//go:noinline
func syncDisk(way []byte) []byte { return next(way) }

//go:noinline
func syncNetwork(way []byte) []byte { return next(way) }

//go:noinline
func syncImage(way []byte) []byte { return next(way) }

//go:noinline
func syncHost(way []byte) []byte { return next(way) }

//go:noinline
func syncWire(way []byte) []byte { return next(way) }

//go:noinline
func syncQuota(way []byte) []byte { return next(way) }

//go:noinline
func syncTask(way []byte) []byte { return next(way) }

//go:noinline
func updateServer(way []byte) []byte { return next(way) }

//go:noinline
func updateDisk(way []byte) []byte { return next(way) }

//go:noinline
func updateNetwork(way []byte) []byte { return next(way) }

//go:noinline
func updateImage(way []byte) []byte { return next(way) }

//go:noinline
func updateHost(way []byte) []byte { return next(way) }

//go:noinline
func updateWire(way []byte) []byte { return next(way) }

//go:noinline
func updateQuota(way []byte) []byte { return next(way) }

//go:noinline
func updateTask(way []byte) []byte { return next(way) }

//go:noinline
func checkServer(way []byte) []byte { return next(way) }

//go:noinline
func checkDisk(way []byte) []byte { return next(way) }

//go:noinline
func checkNetwork(way []byte) []byte { return next(way) }

//go:noinline
func checkImage(way []byte) []byte { return next(way) }

//go:noinline
func checkHost(way []byte) []byte { return next(way) }

//go:noinline
func checkWire(way []byte) []byte { return next(way) }

//go:noinline
func checkQuota(way []byte) []byte { return next(way) }

//go:noinline
func checkTask(way []byte) []byte { return next(way) }

//go:noinline
func attachServer(way []byte) []byte { return next(way) }

//go:noinline
func attachDisk(way []byte) []byte { return next(way) }

//go:noinline
func attachNetwork(way []byte) []byte { return next(way) }

//go:noinline
func attachImage(way []byte) []byte { return next(way) }

//go:noinline
func attachHost(way []byte) []byte { return next(way) }

//go:noinline
func attachWire(way []byte) []byte { return next(way) }

//go:noinline
func attachQuota(way []byte) []byte { return next(way) }

//go:noinline
func attachTask(way []byte) []byte { return next(way) }

//go:noinline
func createServer(way []byte) []byte { return next(way) }

//go:noinline
func createDisk(way []byte) []byte { return next(way) }

//go:noinline
func createNetwork(way []byte) []byte { return next(way) }

//go:noinline
func createImage(way []byte) []byte { return next(way) }

//go:noinline
func createHost(way []byte) []byte { return next(way) }

//go:noinline
func createWire(way []byte) []byte { return next(way) }

//go:noinline
func createQuota(way []byte) []byte { return next(way) }

//go:noinline
func createTask(way []byte) []byte { return next(way) }

//go:noinline
func fetchServer(way []byte) []byte { return next(way) }

//go:noinline
func fetchDisk(way []byte) []byte { return next(way) }

//go:noinline
func fetchNetwork(way []byte) []byte { return next(way) }

//go:noinline
func fetchImage(way []byte) []byte { return next(way) }

//go:noinline
func fetchHost(way []byte) []byte { return next(way) }

//go:noinline
func fetchWire(way []byte) []byte { return next(way) }

//go:noinline
func fetchQuota(way []byte) []byte { return next(way) }

//go:noinline
func fetchTask(way []byte) []byte { return next(way) }

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	calls = [64]call{
		listServer, listDisk, listNetwork, listImage, listHost, listWire, listQuota, listTask,
		getServer, getDisk, getNetwork, getImage, getHost, getWire, getQuota, getTask,
		syncServer, syncDisk, syncNetwork, syncImage, syncHost, syncWire, syncQuota, syncTask,
		updateServer, updateDisk, updateNetwork, updateImage, updateHost, updateWire, updateQuota, updateTask,
		checkServer, checkDisk, checkNetwork, checkImage, checkHost, checkWire, checkQuota, checkTask,
		attachServer, attachDisk, attachNetwork, attachImage, attachHost, attachWire, attachQuota, attachTask,
		createServer, createDisk, createNetwork, createImage, createHost, createWire, createQuota, createTask,
		fetchServer, fetchDisk, fetchNetwork, fetchImage, fetchHost, fetchWire, fetchQuota, fetchTask,
	}
	runtime.MemProfileRate = 1
	random := rand.New(rand.NewSource(20))
	way := make([]byte, 60)
	for i := 0; i < count; i++ {
		// Requests share their first calls, and each function calls few others.
		for at := 1 + random.Intn(len(way)-4); at < len(way); at++ {
			way[at] = (way[at-1]*5 + 1) % byte(len(calls))
			if random.Intn(8) == 0 {
				way[at] = (way[at] + byte(random.Intn(4))) % byte(len(calls))
			}
		}
		kept = append(kept, next(way[:4+random.Intn(len(way)-4)]))
	}
	file, err := os.Create(os.Args[2])
	if err == nil {
		err = pprof.Lookup("heap").WriteTo(file, 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	runtime.KeepAlive(kept)
}
