// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package utils has the function at the bottom of every goroutine dump of a service.
package utils

import (
	"io"
	"runtime/pprof"
)

// DumpAllGoroutineStack writes all goroutines in the debug=1 form: equal stacks together, no
// identifiers, no states, no end mark. The writer gets one write for each cell of the text, as
// text/tabwriter makes them.
func DumpAllGoroutineStack(to io.Writer) error {
	return pprof.Lookup("goroutine").WriteTo(to, 1)
}
