// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command gostackparse reads a debug=2 dump with DataDog/gostackparse and prints goroutines, errors and seconds,
// reading the file included.
package main

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/DataDog/gostackparse"
)

func main() {
	began := time.Now()
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	goroutines, errs := gostackparse.Parse(bytes.NewReader(data))
	fmt.Println(len(goroutines), len(errs), time.Since(began).Seconds())
}
