// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package load makes requests to the service itself, over its own port, as its clients do.
package load

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"cloudpods.lab/services/pkg/behaviour"
	"cloudpods.lab/services/pkg/log"
)

// most is the limit of concurrent requests of the rate; further ones are not made.
const most = 1000

// insecure: the authority is the service's own, and no other process listens on its port.
var insecure = &tls.Config{InsecureSkipVerify: true}

// Run starts the load of a behaviour. address: of the service. plain: without TLS. path: the main one.
func Run(b behaviour.Behaviour, address string, plain bool, path string) {
	if b.HTTPPath != "" {
		path = b.HTTPPath
	}
	if b.HTTPStorm > 0 {
		go func() {
			if err := storm(b.HTTPStorm, address, plain, path); err != nil {
				log.Errorf("storm: %v", err)
			}
		}()
	}
	if b.HTTPRate > 0 {
		go steady(b.HTTPRate, b.HTTPBurst, address, plain, path)
	}
}

// storm makes all requests at once, each on a connection of its own, and then reads the responses one
// after the other: it has one goroutine, so that a dump shows the clients of the service only.
func storm(count int, address string, plain bool, path string) error {
	conns := make([]net.Conn, 0, count)
	for i := 0; i < count; i++ {
		conn, err := dial(address, plain)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: storm\r\nConnection: close\r\n\r\n", path); err != nil {
			return err
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		if _, err = io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
	}
	return nil
}

func dial(address string, plain bool) (net.Conn, error) {
	if plain {
		return net.Dial("tcp", address)
	}
	return tls.Dial("tcp", address, insecure)
}

// steady makes requests at an even rate, in bursts of this size.
func steady(rate, burst int, address string, plain bool, path string) {
	scheme := "https"
	if plain {
		scheme = "http"
	}
	url := fmt.Sprintf("%s://%s%s", scheme, address, path)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: insecure, MaxIdleConnsPerHost: 16}}
	var underway atomic.Int64
	for n := 0; ; n += burst {
		for i := n; i < n+burst && underway.Load() < most; i++ {
			underway.Add(1)
			go func(i int) {
				defer underway.Add(-1)
				if err := mixed(client, url, i); err != nil {
					log.Warningf("load: %v", err)
				}
			}(i)
		}
		time.Sleep(time.Second * time.Duration(burst) / time.Duration(rate))
	}
}

// mixed makes the nth request: of ten, seven are for the URL, two for an item below, and one changes
// a resource.
func mixed(client *http.Client, url string, n int) error {
	switch n % 10 {
	case 3, 6:
		return request(client, http.MethodGet, fmt.Sprintf("%s/%08x", url, n))
	case 9:
		return request(client, http.MethodPost, url)
	}
	return request(client, http.MethodGet, url)
}

func request(client *http.Client, method, url string) error {
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "yunioncloud-go/201708")
	r.Header.Set("X-Yunion-Peer-Service-Name", "webconsole")
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
