// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package utils

import (
	"strings"
	"testing"
)

// cells keeps every write separate.
type cells []string

func (c *cells) Write(p []byte) (int, error) {
	*c = append(*c, string(p))
	return len(p), nil
}

// A dump must reach its writer cell by cell, so that log lines can land inside a line.
func TestWritesDumpCellByCell(t *testing.T) {
	var written cells
	if err := DumpAllGoroutineStack(&written); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(written, "")
	if !strings.HasPrefix(text, "goroutine profile: total ") {
		t.Fatalf("no header in %q", text)
	}
	frames := strings.Count(text, "\n#\t")
	alone := 0
	for _, cell := range written {
		if cell == "#" {
			alone++
		}
	}
	if frames == 0 || alone != frames {
		t.Errorf("%d frames, %d writes of a lone #", frames, alone)
	}
}
