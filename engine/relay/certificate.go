package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// selfSignedFor is how long a certificate that a relay makes for itself is
// valid. It lives in memory only: a new start makes a new one.
const selfSignedFor = 90 * 24 * time.Hour

// SelfSigned makes a key and a certificate for the given host names and
// addresses, and returns the certificate in PEM too.
func SelfSigned(hosts []string, now time.Time) (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make certificate: %w", err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "airbuild relay"},
		// Clocks of isolated hosts differ.
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(selfSignedFor),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make certificate: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, text, nil
}

// CertificateHosts are the names and addresses that others may call a relay by
// which listens on the given HOST:PORT of this host. They are what SelfSigned takes.
func CertificateHosts(listen string) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	seen := map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "": true}
	add := func(h string) {
		if !seen[h] {
			seen[h] = true
			hosts = append(hosts, h)
		}
	}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
			add(host)
		}
	}
	if name, err := os.Hostname(); err == nil {
		add(name)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return hosts
	}
	for _, addr := range addrs {
		if n, ok := addr.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			add(n.IP.String())
		}
	}
	return hosts
}

// Fingerprint is the SHA-256 of a certificate in the form that openssl and
// browsers show: pairs of upper-case hexadecimal digits with colons between.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

// parseFingerprint reads what Fingerprint writes, with or without colons, in
// upper or lower case.
func parseFingerprint(s string) (sum [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(s), ":", ""))
	if err != nil || len(b) != len(sum) {
		return sum, errors.New("a fingerprint is the SHA-256 of a certificate: 64 hexadecimal digits")
	}
	return [sha256.Size]byte(b), nil
}

// pinned is a TLS configuration for clients that takes one certificate, whoever
// signed it and whatever name is on it, and no other.
func pinned(fingerprint string) (*tls.Config, error) {
	want, err := parseFingerprint(fingerprint)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("the relay shows no certificate")
			}
			if got := s.PeerCertificates[0].Raw; sha256.Sum256(got) != want {
				return &fingerprintError{Fingerprint(got)}
			}
			return nil
		},
	}, nil
}

// A fingerprintError says that the relay has another certificate than wanted.
type fingerprintError struct{ got string }

func (e *fingerprintError) Error() string {
	return "the relay's certificate has another fingerprint, " + e.got
}
