// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package wire

import (
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"math/rand"
	"net/http"
	"os"
	"time"

	"cloudpods.lab/services/pkg/behaviour"
	"cloudpods.lab/services/pkg/httperrors"
	"cloudpods.lab/services/pkg/log"
)

// What goes wrong with profiles: they are large, compressed, binary, and take time to be made.
func init() {
	faults["forbidden"] = func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ behaviour.Behaviour) error {
		httperrors.Send(w, http.StatusForbidden, "Forbidden", "Forbidden")
		return nil
	}
	faults["die"] = die
	faults["bomb"] = bomb
	faults["random"] = random
	faults["endless"] = endless
	faults["hostile"] = hostile
}

// die sends half of the true response and ends the process.
func die(w http.ResponseWriter, r *http.Request, inner http.Handler, _ behaviour.Behaviour) error {
	answer := record(r, inner)
	w.Header().Set("Content-Length", fmt.Sprint(answer.body.Len()))
	if _, err := w.Write(firstHalf(answer)); err != nil {
		return err
	}
	if err := flush(w); err != nil {
		return err
	}
	time.Sleep(time.Second) // so that proxies can pass on the first half
	log.Errorf("Fault die: the process ends")
	os.Exit(1)
	return nil
}

// bomb sends a small gzip stream of this number of mebibytes of zeros.
func bomb(w http.ResponseWriter, _ *http.Request, _ http.Handler, b behaviour.Behaviour) error {
	return compressed(w, gzip.BestCompression, b.FaultSize, make([]byte, 1<<20), nil)
}

// random sends a gzip stream of this number of mebibytes that cannot be compressed.
func random(w http.ResponseWriter, _ *http.Request, _ http.Handler, b behaviour.Behaviour) error {
	source := rand.New(rand.NewSource(1))
	return compressed(w, gzip.NoCompression, b.FaultSize, make([]byte, 1<<20), func(piece []byte) { source.Read(piece) })
}

func compressed(w http.ResponseWriter, level, mebibytes int, piece []byte, change func([]byte)) error {
	w.Header().Set("Content-Type", "application/octet-stream")
	to, err := gzip.NewWriterLevel(w, level)
	if err != nil {
		return err
	}
	for i := 0; i < mebibytes; i++ {
		if change != nil {
			change(piece)
		}
		if _, err = to.Write(piece); err != nil {
			return err
		}
	}
	return to.Close()
}

// endless sends the true response and repeats it for ever.
func endless(w http.ResponseWriter, r *http.Request, inner http.Handler, _ behaviour.Behaviour) error {
	answer := record(r, inner)
	w.Header().Set("Content-Type", "application/octet-stream")
	for {
		if _, err := w.Write(answer.body.Bytes()); err != nil {
			return err
		}
	}
}

// hostile sends a profile with invalid references: a sample of a million locations, all of them the one with
// the highest possible number; a location in a missing function; names outside of the table of strings.
func hostile(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ behaviour.Behaviour) error {
	const million, nowhere = 1_000_000, 1<<64 - 1
	field := func(number int, content []byte) []byte {
		made := binary.AppendUvarint(nil, uint64(number)<<3|2)
		return append(binary.AppendUvarint(made, uint64(len(content))), content...)
	}
	value := func(number int, v uint64) []byte {
		return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3), v)
	}
	var locations []byte
	for i := 0; i < million; i++ {
		locations = binary.AppendUvarint(locations, nowhere)
	}
	kind := append(value(1, 1<<40), value(2, nowhere)...)
	sample := append(field(1, locations), field(2, binary.AppendUvarint(nil, 1))...)
	location := append(value(1, nowhere), field(4, value(1, nowhere))...)
	profile := append(field(1, kind), field(2, sample)...)
	profile = append(append(profile, field(4, location)...), field(6, nil)...)
	w.Header().Set("Content-Type", "application/octet-stream")
	to := gzip.NewWriter(w)
	if _, err := to.Write(profile); err != nil {
		return err
	}
	return to.Close()
}
