// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package pki creates a certificate authority and the certificate of a service, as the operator does.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// certified is a certificate and its key.
type certified struct {
	der  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

const year = 365 * 24 * time.Hour

// Names are those of a component's service.
func Names(component string) []string {
	service := "default-" + component
	return []string{service, service + ".onecloud", service + ".onecloud.svc", service + ".onecloud.svc.cluster.local",
		"localhost"}
}

// Generate returns a certificate for names (and the loopback address, unless other is set) that ends
// after this number of days, with the one of its authority. caFile: its path, empty for none.
func Generate(names []string, other bool, days int, caFile string) (tls.Certificate, error) {
	now := time.Now()
	authority, err := sign(x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "standin-ca"},
		NotBefore: now.Add(-2 * year), NotAfter: now.Add(10 * year),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}, nil)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("authority: %w", err)
	}
	wanted := x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: now.Add(-year), NotAfter: now.Add(time.Duration(days) * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if !other {
		wanted.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	service, err := sign(wanted, authority)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("service: %w", err)
	}
	if caFile != "" {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.der})
		if err := os.WriteFile(caFile, text, 0o644); err != nil {
			return tls.Certificate{}, err
		}
	}
	return tls.Certificate{Certificate: [][]byte{service.der, authority.der}, PrivateKey: service.key}, nil
}

// sign creates a key and its certificate; by is nil for a self-signed one.
func sign(wanted x509.Certificate, by *certified) (*certified, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	parent, signer := &wanted, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &wanted, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &certified{der, cert, key}, err
}
