// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command fleet simulates the API server of a cluster with many pods: fleet PODS SAMPLES.
//
// It lists PODS pods of region in pages, and their Deployment, and answers the pod proxy with the bodies in the folder
// SAMPLES. It prints its URL, and ends when its standard input does.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

type object = map[string]any

var labels = object{"app": "region", "app.kubernetes.io/component": "region"}

func pod(number int) object {
	name := fmt.Sprintf("default-region-6d5f9c7b9-%05d", number)
	return object{
		"metadata": object{
			"name": name, "namespace": "onecloud", "uid": name, "labels": labels,
			"ownerReferences": []object{{"kind": "ReplicaSet", "name": "default-region-6d5f9c7b9", "controller": true}},
		},
		"spec": object{
			"nodeName": fmt.Sprintf("node-%d", number/100),
			"containers": []object{{
				"name": "region", "image": "region:v4.0.1", "ports": []object{{"containerPort": 30888, "protocol": "TCP"}},
			}},
		},
		"status": object{
			"phase": "Running",
			"containerStatuses": []object{{
				"name": "region", "ready": true, "restartCount": 0, "image": "region:v4.0.1", "imageID": "sha256:1",
				"containerID": "containerd://" + name,
				"state":       object{"running": object{"startedAt": "2026-01-02T03:04:05Z"}},
			}},
		},
	}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// listPods answers one page. Only the selection by the label `app` has pods, so that none is listed twice.
func listPods(w http.ResponseWriter, r *http.Request, pods int) {
	query := r.URL.Query()
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit <= 0 {
		limit = pods
	}
	first, _ := strconv.Atoi(query.Get("continue"))
	if !strings.HasPrefix(query.Get("labelSelector"), "app in ") {
		pods = 0
	}
	last := min(first+limit, pods)
	items := make([]object, 0, limit)
	for number := first; number < last; number++ {
		items = append(items, pod(number))
	}
	metadata := object{}
	if last < pods {
		metadata["continue"] = strconv.Itoa(last)
	}
	answer(w, object{"kind": "PodList", "items": items, "metadata": metadata})
}

func listDeployments(w http.ResponseWriter, pods int) {
	deployment := object{
		"metadata": object{"name": "default-region", "namespace": "onecloud", "labels": labels},
		"spec":     object{"replicas": pods, "selector": object{"matchLabels": labels}},
		"status":   object{"replicas": pods, "readyReplicas": pods},
	}
	answer(w, object{"kind": "DeploymentList", "items": []object{deployment}, "metadata": object{}})
}

func main() {
	pods, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	bodies := map[string][]byte{"ping": []byte("pong")}
	for _, name := range []string{"version", "stats", "worker_stats", "process_stats", "db_stats"} {
		if bodies[name], err = os.ReadFile(filepath.Join(os.Args[2], name)); err != nil {
			panic(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/pods"):
			listPods(w, r, pods)
		case strings.HasSuffix(r.URL.Path, "/deployments"):
			listDeployments(w, pods)
		case strings.HasSuffix(r.URL.Path, "/daemonsets"):
			answer(w, object{"kind": "DaemonSetList", "items": []object{}, "metadata": object{}})
		case bodies[path.Base(r.URL.Path)] != nil:
			w.Write(bodies[path.Base(r.URL.Path)])
		default:
			http.NotFound(w, r)
		}
	}
	fmt.Printf("http://%s\n", listener.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	panic(http.Serve(listener, http.HandlerFunc(handler)))
}
