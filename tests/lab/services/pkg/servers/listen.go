// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package servers

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"cloudpods.lab/services/pkg/behaviour"
	"cloudpods.lab/services/pkg/options"
	"cloudpods.lab/services/pkg/pki"
	"cloudpods.lab/services/pkg/role"
)

// adminPort is keystone's second one, with the same application behind it.
const adminPort = 30357

// Server is the listener of a component.
type Server struct {
	Scheme    string
	Address   string // for the service itself
	listeners []net.Listener
	server    *http.Server
}

// Listen opens the ports of a component; nil if it has none, or may serve none.
func Listen(r role.Role, b behaviour.Behaviour, o options.Options) (*Server, error) {
	if r.Server == role.Nothing || b.Serve == "off" {
		return nil, nil
	}
	ports := []string{o.Port}
	if o.Port == "" {
		ports[0] = strconv.Itoa(r.Port)
		if r.Name == "keystone" {
			ports = append(ports, strconv.Itoa(adminPort))
		}
	}
	s := &Server{Scheme: "https"}
	var secure *tls.Config
	if r.Plain || b.Serve == "plain" {
		s.Scheme = "http"
	} else {
		certificate, err := certificate(r, b, o)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		secure = &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	for _, port := range ports {
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return nil, fmt.Errorf("%w (cert=%s key=%s)", err, o.SSLCertfile, o.SSLKeyfile)
		}
		if s.Address == "" {
			s.Address = fmt.Sprintf("127.0.0.1:%d", listener.Addr().(*net.TCPAddr).Port)
		}
		if secure != nil {
			listener = tls.NewListener(listener, secure)
		}
		s.listeners = append(s.listeners, listener)
	}
	return s, nil
}

// certificate returns the one of the options, or a new one.
func certificate(r role.Role, b behaviour.Behaviour, o options.Options) (tls.Certificate, error) {
	if o.SSLCertfile != "" {
		return tls.LoadX509KeyPair(o.SSLCertfile, o.SSLKeyfile)
	}
	names, other := pki.Names(r.Name), b.CertName != ""
	if other {
		names = []string{b.CertName}
	}
	return pki.Generate(names, other, b.CertDays, b.CertCA)
}

// Port is its port.
func (s *Server) Port() string {
	_, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		panic(err) // the address was made by Listen
	}
	return port
}

// Serve serves until stopped is closed.
func (s *Server) Serve(handler http.Handler, stopped <-chan struct{}) error {
	s.server = &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, len(s.listeners))
	for _, listener := range s.listeners[1:] {
		go func(listener net.Listener) { ended <- s.server.Serve(listener) }(listener)
	}
	go func() {
		<-stopped
		s.server.Close() // the process ends with it
	}()
	if err := s.server.Serve(s.listeners[0]); err != http.ErrServerClosed {
		return err
	}
	return nil
}
