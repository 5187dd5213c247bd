// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package version prints what "<component> --version" prints: a line of text, then indented JSON,
// without a newline at the end.
package version

import (
	"encoding/json"
	"fmt"
	"runtime"
	"time"
)

// Info has the keys of the services' version output; all values are strings.
type Info struct {
	Major        string `json:"major"`
	Minor        string `json:"minor"`
	GitVersion   string `json:"gitVersion"`
	GitBranch    string `json:"gitBranch"`
	GitCommit    string `json:"gitCommit"`
	GitTreeState string `json:"gitTreeState"`
	BuildDate    string `json:"buildDate"`
	GoVersion    string `json:"goVersion"`
	Compiler     string `json:"compiler"`
	Platform     string `json:"platform"`
}

// Get describes a build of branch at commit.
func Get(branch, commit string) Info {
	return Info{
		Major: "0", Minor: "0",
		GitVersion: "v4.0.1-12-g" + short(commit), GitBranch: branch, GitCommit: commit, GitTreeState: "clean",
		BuildDate: "2026-08-21T06:00:00Z", GoVersion: runtime.Version(), Compiler: runtime.Compiler,
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// Text is the output of a service.
func (info Info) Text() (string, error) {
	data, err := json.MarshalIndent(info, "", "  ")
	return "Yunion cloud version:\n" + string(data), err
}

// ClientText is the output of climc.
func (info Info) ClientText() (string, error) {
	data, err := json.MarshalIndent(info, "", "  ")
	return "Yunion API client version:\n " + string(data) + "\n", err
}

// DNSText is the output of region-dns, which is a CoreDNS.
func (info Info) DNSText() string {
	return fmt.Sprintf("CoreDNS-1.10.1\n%s, %s, \n", info.Platform, info.GoVersion)
}

// ShortText is the body of /version: branch, and commit with the hour of the build.
func (info Info) ShortText() string {
	built, err := time.Parse(time.RFC3339, info.BuildDate)
	if err != nil {
		panic(err) // it is a constant
	}
	commit := info.GitCommit
	if len(commit) > 10 {
		commit = commit[:10]
	}
	return fmt.Sprintf("%s(%s%s)", info.GitBranch, commit, built.Format("06010215"))
}

func short(commit string) string {
	if len(commit) > 9 {
		return commit[:9]
	}
	return commit
}
