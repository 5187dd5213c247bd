// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// issued is a token as a client reads it.
type issued struct {
	Token struct {
		ExpiresAt time.Time `json:"expires_at"`
		Catalog   []struct {
			Type, Name string
			Endpoints  []struct {
				Interface, Region, URL string
				RegionID               string `json:"region_id"`
			}
		}
	}
}

func (s service) login(password string) (int, string, issued) {
	s.t.Helper()
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"sysadmin",
		"domain":{"name":"Default"},"password":%q}}},"scope":{"project":{"name":"system","domain":{"name":"Default"}}}}}`, password)
	status, said, header, err := s.ask("POST", "/v3/auth/tokens", body)
	var token issued
	if err != nil || json.Unmarshal([]byte(said), &token) != nil {
		s.t.Fatal(err, said)
	}
	return status, header.Get("X-Subject-Token"), token
}

func TestKeystoneIssuesTokenAndCatalog(t *testing.T) {
	t.Parallel()
	s := serving(t, "keystone", "")
	if status, _, _ := s.login("wrong"); status != 401 {
		t.Errorf("wrong password: %d", status)
	}
	status, id, token := s.login("standin-admin-password")
	if status != 201 || id == "" || time.Until(token.Token.ExpiresAt) < 23*time.Hour {
		t.Fatalf("%d %q %v", status, id, token)
	}
	found := map[string]bool{}
	for _, service := range token.Token.Catalog {
		for _, e := range service.Endpoints {
			found[service.Type+" "+service.Name+" "+e.Interface+" "+e.Region+" "+e.RegionID+" "+e.URL] = true
		}
	}
	for _, want := range []string{
		"identity keystone internal region0 region0 https://default-keystone:30500/v3",
		"identity keystone admin region0 region0 https://default-keystone:30357/v3",
		"compute_v2 region2 internal region0 region0 https://default-region:30888",
		"image glance public region0 region0 https://cloud.example:30292/v1",
	} {
		if !found[want] {
			t.Errorf("no %s in %v", want, found)
		}
	}
	for given, want := range map[string]int{id: 200, "nonsense": 401} {
		if status, _, _, err := s.ask("GET", "/v3/auth/catalog", "", "X-Auth-Token:"+given); status != want || err != nil {
			t.Errorf("catalog with %q: %d %v", given, status, err)
		}
	}
	status, _, header, err := s.ask("GET", "/v3/auth/tokens", "", "X-Auth-Token:"+id, "X-Subject-Token:"+id)
	if status != 200 || header.Get("X-Subject-Token") != id || err != nil {
		t.Errorf("verify: %d %v", status, err)
	}
	if _, body := s.get("/v3"); !strings.Contains(body, s.url+"/v3/") {
		t.Errorf("version: %s", body)
	}
	if s.hits("POST", "/v3/auth/tokens", "hit.2XX") != 1 || s.hits("POST", "/v3/auth/tokens", "hit.4XX") != 1 {
		t.Error("not counted")
	}
}

func TestKeystoneTokensExpire(t *testing.T) {
	t.Parallel()
	s := serving(t, "keystone", "token_life=300ms token_says=1h")
	_, id, token := s.login("standin-admin-password")
	if left := time.Until(token.Token.ExpiresAt); left < 50*time.Minute {
		t.Errorf("says that it ends in %s", left)
	}
	s.until("the token ends", func() bool {
		status, _, _, err := s.ask("GET", "/v3/auth/catalog", "", "X-Auth-Token:"+id)
		return status == 401 && err == nil
	})
}

func TestKeystoneRereadsTheCatalog(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "catalog.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`[{"type":"compute_v2","interface":"internal","url":"https://one:1"}]`)
	s := serving(t, "keystone", "catalog="+file)
	urls := func() string {
		_, _, token := s.login("standin-admin-password")
		text, _ := json.Marshal(token.Token.Catalog)
		return string(text)
	}
	if got := urls(); !strings.Contains(got, "https://one:1") || !strings.Contains(got, `"region0"`) {
		t.Error(got)
	}
	write(`[{"type":"compute_v2","region":"east","interface":"internal","url":"https://two:2"},
		{"type":"compute_v2","region":"west","interface":"public","url":"https://three:3"}]`)
	if got := urls(); !strings.Contains(got, `"east"`) || !strings.Contains(got, "https://three:3") || strings.Count(got, `"compute_v2"`) != 1 {
		t.Error(got)
	}
	write(`[{"type":"compute_v2"}]`)
	if status, _, _ := s.login("standin-admin-password"); status != 500 {
		t.Errorf("a bad catalog: %d", status)
	}
}

// The text, key and signature are of a login that Cloudpods' documentation shows (development/apisdk).
const documented = `{\"access_key\":\"ba92f912922044268d4ad1dc70aafe57\",\"algorithm\":\"AWS4-HMAC-SHA256\",` +
	`\"location\":\"cn-beijing\",\"request\":\"AWS4-HMAC-SHA256\\n20220220T172931Z\\n` +
	`20220220/cn-beijing/s3/aws4_request\\n5ff6dad4605ea24e0f0be6c6885eddbbe1a5619c89f682b21d719aa50dcb9264\",` +
	`\"sign_date\":\"2022-02-20T17:29:31.000000Z\",` +
	`\"signature\":\"4c92b91266168fc650fec9303a9dc3309f12d0fe66c5b0a605082e0260c70ce2\"}`

func TestKeystoneAcceptsAnAccessKey(t *testing.T) {
	t.Parallel()
	body := `{"auth":{"identity":{"methods":["aksk"],"access_key_secret":"` + documented + `"}}}`
	for secret, want := range map[string]int{"OGVmTXNKQWpBWHpUejZTWDNKcndSdXlHQUNFeXhLVWI=": 201, "another": 401} {
		s := serving(t, "keystone", "access_key=ba92f912922044268d4ad1dc70aafe57 secret_key="+secret)
		if status, said, _, err := s.ask("POST", "/v3/auth/tokens", body); status != want || err != nil {
			t.Errorf("%s: %d %v %s", secret, status, err, said)
		}
	}
}
