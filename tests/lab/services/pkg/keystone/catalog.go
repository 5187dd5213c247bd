// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package keystone

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"cloudpods.lab/services/pkg/role"
)

// listed is an entry of the catalog file: one URL. name and region have defaults.
type listed struct {
	Type      string `json:"type"`
	Name      string `json:"name"`
	Region    string `json:"region"`
	Interface string `json:"interface"`
	URL       string `json:"url"`
}

// endpoint and service are the catalog's form in a token.
type endpoint struct {
	ID        string `json:"id"`
	Interface string `json:"interface"`
	Region    string `json:"region"`
	RegionID  string `json:"region_id"`
	URL       string `json:"url"`
}

type service struct {
	ID        string     `json:"id"`
	Type      string     `json:"type"`
	Name      string     `json:"name"`
	Endpoints []endpoint `json:"endpoints"`
}

const region = "region0"

// names of services that differ from their type.
var names = map[string]string{"identity": "keystone", "compute_v2": "region2", "image": "glance"}

// registered are the types, components and suffixes that the operator registers.
var registered = []struct{ kind, component, suffix string }{
	{"identity", "keystone", "/v3"}, {"compute_v2", "region", ""}, {"image", "glance", "/v1"},
	{"scheduler", "scheduler", ""}, {"webconsole", "webconsole", ""}, {"log", "logger", ""},
	{"ansible", "ansibleserver", ""}, {"k8s", "kubeserver", "/api"}, {"yunionconf", "yunionconf", ""},
	{"notify", "notify", ""}, {"monitor", "monitor", ""}, {"cloudnet", "cloudnet", ""}, {"cloudproxy", "cloudproxy", ""},
	{"cloudevent", "cloudevent", ""}, {"cloudid", "cloudid", ""}, {"cloudmon", "cloudmon", ""},
	{"devtool", "devtool", ""}, {"scheduledtask", "scheduledtask", ""}, {"s3gateway", "s3gateway", ""},
	{"vpcagent", "vpcagent", ""}, {"mcp-server", "mcp-server", ""},
}

// catalog reads the file again each time, so that a test may change it; without one it is that of a
// fresh installation.
func (s *Service) catalog() ([]service, error) {
	if s.b.Catalog == "" {
		return group(defaults()), nil
	}
	data, err := os.ReadFile(s.b.Catalog)
	if err != nil {
		return nil, err
	}
	var entries []listed
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", s.b.Catalog, err)
	}
	for _, entry := range entries {
		if entry.Type == "" || entry.URL == "" || entry.Interface == "" {
			return nil, fmt.Errorf("%s: an entry needs type, interface and url, not %+v", s.b.Catalog, entry)
		}
	}
	return group(entries), nil
}

func defaults() []listed {
	var entries []listed
	for _, each := range registered {
		r := role.Of(each.component)
		scheme := "https"
		if r.Plain {
			scheme = "http"
		}
		for _, kind := range []string{"internal", "public", "admin"} {
			port := r.Port
			if each.component == "keystone" && kind == "admin" {
				port = 30357
			}
			host := "default-" + each.component
			if kind == "public" {
				host = "cloud.example"
			}
			entries = append(entries, listed{Type: each.kind, Interface: kind,
				URL: fmt.Sprintf("%s://%s:%d%s", scheme, host, port, each.suffix)})
		}
	}
	return entries
}

// group puts the URLs of one service together, in the order of the file.
func group(entries []listed) []service {
	services, at := []service{}, map[string]int{}
	for _, entry := range entries {
		if entry.Region == "" {
			entry.Region = region
		}
		if entry.Name == "" {
			entry.Name = names[entry.Type]
		}
		if entry.Name == "" {
			entry.Name = entry.Type
		}
		i, known := at[entry.Type]
		if !known {
			i = len(services)
			at[entry.Type] = i
			services = append(services, service{ID: id(entry.Type), Type: entry.Type, Name: entry.Name})
		}
		services[i].Endpoints = append(services[i].Endpoints, endpoint{
			ID: id(entry.Type, entry.Region, entry.Interface, entry.URL), Interface: entry.Interface,
			Region: entry.Region, RegionID: entry.Region, URL: entry.URL,
		})
	}
	return services
}

func id(parts ...string) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(parts)))
	return hex.EncodeToString(sum[:16])
}
