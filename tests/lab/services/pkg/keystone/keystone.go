// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package keystone is the identity service, reduced to the needs of a client that gets a token and the
// catalog.
package keystone

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"cloudpods.lab/services/pkg/appsrv"
	"cloudpods.lab/services/pkg/behaviour"
	"cloudpods.lab/services/pkg/httperrors"
	"cloudpods.lab/services/pkg/log"
)

const (
	stamp      = "2006-01-02T15:04:05.000000Z"
	maxRequest = 1 << 20
)

// Service issues tokens and knows the valid ones.
type Service struct {
	b      behaviour.Behaviour
	lock   sync.Mutex
	tokens map[string]token
}

// token: until is its actual expiry.
type token struct {
	issued, until, says time.Time
	methods             []string
}

// New returns a service without tokens.
func New(b behaviour.Behaviour) *Service { return &Service{b: b, tokens: map[string]token{}} }

// Register adds its handlers to the application.
func (s *Service) Register(app *appsrv.Application) {
	app.AddHandler(http.MethodGet, "/v3", "get_version", s.version)
	app.AddHandler(http.MethodPost, "/v3/auth/tokens", "auth_tokens", s.issue)
	app.AddHandler(http.MethodGet, "/v3/auth/tokens", "verify_tokens", s.verify)
	app.AddHandler(http.MethodGet, "/v3/auth/catalog", "get_catalog", s.showCatalog)
}

func (s *Service) version(w http.ResponseWriter, r *http.Request) {
	scheme := "https"
	if r.TLS == nil {
		scheme = "http"
	}
	self := map[string]string{"rel": "self", "href": fmt.Sprintf("%s://%s/v3/", scheme, r.Host)}
	appsrv.SendJSON(w, map[string]any{"version": map[string]any{
		"id": "v3.8", "status": "stable", "updated": "2017-02-22T00:00:00Z", "links": []any{self},
	}})
}

// request is the body of POST /v3/auth/tokens.
type request struct {
	Auth struct {
		Identity struct {
			Methods  []string `json:"methods"`
			Password struct {
				User struct {
					Name     string `json:"name"`
					Password string `json:"password"`
				} `json:"user"`
			} `json:"password"`
			Token struct {
				ID string `json:"id"`
			} `json:"token"`
			AccessKey string `json:"access_key_secret"`
		} `json:"identity"`
	} `json:"auth"`
}

// issue checks a password or another token and issues a new one.
func (s *Service) issue(w http.ResponseWriter, r *http.Request) {
	var asked request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&asked); err != nil {
		httperrors.Send(w, http.StatusBadRequest, "InputParameterError", "invalid auth request")
		return
	}
	identity := asked.Auth.Identity
	given := false
	for _, method := range identity.Methods {
		switch method {
		case "password":
			user := identity.Password.User
			given = given || user.Name == s.b.AuthUser && user.Password == s.b.AuthPassword
		case "token":
			_, good := s.find(identity.Token.ID)
			given = given || good
		case "aksk":
			given = given || signed(identity.AccessKey, s.b.AccessKey, s.b.SecretKey)
		}
	}
	if !given {
		log.Warningf("authenticate of user %q by %v failed", identity.Password.User.Name, identity.Methods)
		httperrors.Send(w, http.StatusUnauthorized, "UnauthorizedError", "Incorrect user or password")
		return
	}
	id, made := s.make(identity.Methods)
	w.Header().Set("X-Subject-Token", id)
	s.send(w, http.StatusCreated, made)
}

func (s *Service) make(methods []string) (string, token) {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		panic(err) // no random numbers
	}
	id, now := hex.EncodeToString(raw), time.Now()
	made := token{issued: now, until: now.Add(s.b.TokenLife), methods: methods}
	made.says = made.until
	if s.b.TokenSays > 0 {
		made.says = now.Add(s.b.TokenSays)
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.tokens[id] = made
	return id, made
}

// find returns a valid token.
func (s *Service) find(id string) (token, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	found, known := s.tokens[id]
	return found, known && time.Now().Before(found.until)
}

// send answers with a token.
func (s *Service) send(w http.ResponseWriter, status int, t token) {
	catalog, err := s.catalog()
	if err != nil {
		httperrors.Send(w, http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	domain := map[string]string{"id": "default", "name": "Default"}
	body, err := json.Marshal(map[string]any{"token": map[string]any{
		"methods":    t.methods,
		"issued_at":  t.issued.UTC().Format(stamp),
		"expires_at": t.says.UTC().Format(stamp),
		"audit_ids":  []string{"standin"},
		"user":       map[string]any{"id": s.b.AuthUser, "name": s.b.AuthUser, "domain": domain},
		"project":    map[string]any{"id": "system", "name": "system", "domain": domain},
		"roles":      []map[string]string{{"id": "admin", "name": "admin"}},
		"catalog":    catalog,
	}})
	if err != nil {
		httperrors.Send(w, http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // errors of a client that has gone are ignored
}

// authorized answers 401 unless the request has a good token.
func (s *Service) authorized(w http.ResponseWriter, r *http.Request) bool {
	_, good := s.find(r.Header.Get("X-Auth-Token"))
	if !good {
		httperrors.Send(w, http.StatusUnauthorized, "UnauthorizedError", "invalid token")
	}
	return good
}

func (s *Service) verify(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(w, r) {
		return
	}
	id := r.Header.Get("X-Subject-Token")
	found, good := s.find(id)
	if !good {
		httperrors.Send(w, http.StatusNotFound, "NotFoundError", "token not found")
		return
	}
	w.Header().Set("X-Subject-Token", id)
	s.send(w, http.StatusOK, found)
}

func (s *Service) showCatalog(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(w, r) {
		return
	}
	catalog, err := s.catalog()
	if err != nil {
		httperrors.Send(w, http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	appsrv.SendJSON(w, map[string]any{"catalog": catalog})
}
