// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package httperrors answers requests with the errors of the services, and logs them as they do.
package httperrors

import (
	"encoding/json"
	"net/http"
	"runtime/debug"
	"time"

	"cloudpods.lab/services/pkg/log"
)

// answer is the body of an error.
type answer struct {
	Class   string `json:"class"`
	Code    int    `json:"code"`
	Details string `json:"details"`
	Time    string `json:"time"`
}

// Send answers with an error and returns its status. One of 500 and more prints the stack of its
// sender, which is not that of a panic.
func Send(w http.ResponseWriter, code int, class, details string) int {
	body, err := json.Marshal(answer{class, code, details, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")})
	if err != nil {
		panic(err) // strings and a number
	}
	log.Errorf("Send error %s", body)
	if code >= http.StatusInternalServerError {
		debug.PrintStack()
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	if _, err := w.Write(body); err != nil {
		log.Errorf("Send error body: %v", err)
	}
	return code
}

// NotFound is the answer for a path without a handler.
func NotFound(w http.ResponseWriter, path string) int {
	return Send(w, http.StatusNotFound, "NotFoundError", "Handler "+path+" not found")
}
