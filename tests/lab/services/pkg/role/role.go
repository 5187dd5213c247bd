// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package role has the behaviour of each Cloudpods component that a capture can notice: which signals it
// traps, and when. The role of a stand-in is the base name of its executable, as it is for the
// real binaries, which are all started as /opt/yunion/bin/<component>.
package role

// Kind names the way a program is built, which decides what it does with signals.
type Kind int

const (
	// App runs the common framework: it traps USR1 (dump) and TERM, INT, QUIT (stop) just before
	// it starts to listen.
	App Kind = iota
	// Console traps USR1 right after authentication, before the database, and nothing else.
	Console
	// Deployer traps USR1 and the stop signals first thing.
	Deployer
	// Health traps USR1 only, after authentication.
	Health
	// Plain is a Go program that registers nothing: the runtime swallows USR1.
	Plain
	// Caddy reloads its configuration on USR1.
	Caddy
	// Climc is the command line client: it has a version and nothing else.
	Climc
	// Nginx reopens its log files on USR1.
	Nginx
	// Hung never answers: a shell on a dead file system.
	Hung
)

// Server names the way a program serves HTTP.
type Server int

const (
	// Framework: the application of the common framework, with all its handlers.
	Framework Server = iota
	// Gin: a router of its own with a few paths (the scheduler).
	Gin
	// Mux: another router in front, which gives the application only one path prefix.
	Mux
	// MuxApp: another router in front, which passes all unknown paths on to the application.
	MuxApp
	// NetHTTP: the library's own server, and no application.
	NetHTTP
	// Nothing: it has no such port.
	Nothing
)

// Role is one component.
type Role struct {
	Name   string
	Kind   Kind
	Server Server
	// Plain: without TLS.
	Plain bool
	// Port is the port of the component's service, 0 for none.
	Port int
	// DB is the name of its schema, empty for none.
	DB string
}

// The components whose kind is not App, and the ports and schemas of all that have one.
var roles = map[string]Role{
	"aiproxy":              {Port: 31513, DB: "aiproxy"},
	"ansibleserver":        {Port: 30890, DB: "yunionansible"},
	"apigateway":           {Port: 30300},
	"apimap":               {Port: 31999, DB: "yunioncloud"},
	"autoupdate":           {Port: 30981, DB: "autoupdate"},
	"baremetal-agent":      {Port: 8879},
	"bastionhost":          {Port: 30983, DB: "bastionhost"},
	"billing":              {Port: 30404, DB: "yunionbilling"},
	"climc":                {Kind: Climc, Server: Nothing},
	"cloudevent":           {Port: 30892, DB: "yunioncloudevent"},
	"cloudid":              {Port: 30893, DB: "yunioncloudid"},
	"cloudmon":             {Port: 30931},
	"cloudnet":             {Port: 30891, DB: "yunioncloudnet"},
	"cloudproxy":           {Port: 30882, DB: "yunioncloudproxy"},
	"devtool":              {Port: 30997, DB: "devtool"},
	"esxi-agent":           {Port: 30883},
	"etcd":                 {Kind: Plain, Port: 2379, Server: Nothing},
	"extdb":                {Port: 30991, DB: "extdb"},
	"glance":               {Port: 30292, DB: "glance"},
	"host":                 {Port: 8885},
	"host-deployer":        {Kind: Deployer, Server: Nothing},
	"host-health":          {Kind: Health, Server: Nothing},
	"host-image":           {Port: 48885, Plain: true},
	"keystone":             {Port: 30500, DB: "keystone"},
	"kubeserver":           {Server: Mux, Port: 30442, DB: "kubeserver"},
	"lbagent":              {Kind: Plain, Port: 8895, Server: Nothing},
	"llm":                  {Port: 31512, DB: "llm"},
	"logger":               {Port: 30999, DB: "yunionlogger"},
	"mcp-server":           {Kind: Plain, Port: 30876, Server: NetHTTP, Plain: true},
	"meter":                {Port: 30909, DB: "yunionmeter"},
	"monitor":              {Kind: Plain, Port: 30093, DB: "monitor", Server: MuxApp},
	"nginx":                {Kind: Nginx, Port: 80, Server: Nothing},
	"notify":               {Port: 30777, DB: "notify"},
	"region":               {Port: 30888, DB: "yunioncloud"},
	"region-dns":           {Kind: Caddy, Port: 53, DB: "yunioncloud", Server: Nothing},
	"report":               {Port: 30967, DB: "report"},
	"s3gateway":            {Port: 30884},
	"scheduledtask":        {Port: 30978, DB: "yunioncloud"},
	"scheduler":            {Kind: Plain, Port: 30887, DB: "yunioncloud", Server: Gin},
	"sdnagent":             {Server: Nothing},
	"sh":                   {Kind: Hung, Server: Nothing},
	"suggestion":           {Port: 30987, DB: "suggestion"},
	"telegraf-raid-plugin": {Kind: Plain, Server: Nothing},
	"torrent":              {Kind: Plain, Server: Nothing},
	"vpcagent":             {Port: 30932},
	"webconsole":           {Kind: Console, Port: 30899, DB: "webconsole", Server: Mux},
	"yunionagent":          {Port: 30898},
	"yunionconf":           {Port: 30889, DB: "yunionconf"},
}

// Of returns the role of an executable's base name; an unknown name runs the framework.
func Of(name string) Role {
	r, known := roles[name]
	if !known {
		r.Server = Nothing // its port is not known
	}
	r.Name = name
	return r
}
