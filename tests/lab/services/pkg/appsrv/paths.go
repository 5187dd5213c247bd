// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package appsrv

import "fmt"

// resources are the plurals of a component's resources, the busiest first, below prefix. size: the
// number of all resources; the same as in a real one, so that its /stats is as large.
type resources struct {
	prefix string
	names  []string
	size   int
}

var ownResources = map[string]resources{
	"region": {names: []string{"servers", "guests", "hosts", "disks", "networks", "storages", "snapshots", "vpcs",
		"cloudaccounts", "cloudproviders", "tasks"}, size: 170},
	"keystone": {prefix: "/v3", names: []string{"users", "projects", "domains", "roles", "policies", "endpoints",
		"services", "regions"}, size: 25},
	"glance": {prefix: "/v1", names: []string{"images", "guestimages"}, size: 12},
	"logger": {names: []string{"actions", "events"}, size: 8},
	"notify": {names: []string{"notifications", "receivers", "robots"}, size: 20},
	"host":   {names: []string{"servers", "disks", "storages"}, size: 8},
}

var otherResources = resources{names: []string{"resources"}, size: 12}

// The words of further resources' names.
var (
	adjectives = []string{"cloud", "dns", "elastic", "external", "global", "inter", "isolated", "scheduled", "shared", "tap"}
	nouns      = []string{"accounts", "backups", "caches", "devices", "domains", "groups", "instances", "interfaces",
		"locations", "policies", "quotas", "records", "routes", "rules", "services", "skus", "tables"}
)

// verbs are the requests of each resource; extra is behind its plural.
var verbs = []struct{ method, extra, name string }{
	{"GET", "", "list"}, {"GET", "/.*", "get_details"}, {"GET", "/.*/.*", "get_spec"},
	{"HEAD", "/.*", "head"},
	{"POST", "", "create"}, {"POST", "/.*", "perform_class_action"}, {"POST", "/.*/.*", "perform_action"},
	{"PUT", "/.*", "update"}, {"PUT", "/.*/.*", "update_spec"},
	{"PATCH", "/.*", "patch"}, {"PATCH", "/.*/.*", "patch_spec"},
	{"DELETE", "/.*", "delete"}, {"DELETE", "/.*/.*", "delete_spec"},
}

func resourcesOf(component string) resources {
	r, known := ownResources[component]
	if !known {
		r = otherResources
	}
	names := append([]string{}, r.names...)
	for i := 0; len(names) < r.size; i++ {
		names = append(names, fmt.Sprintf("%s_%s", adjectives[i%len(adjectives)], nouns[i/len(adjectives)]))
	}
	r.names = names
	return r
}

// MainPath is the path with the most requests of a component.
func MainPath(component string) string {
	r := resourcesOf(component)
	return r.prefix + "/" + r.names[0]
}
