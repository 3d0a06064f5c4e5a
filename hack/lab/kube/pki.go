package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// Files of the certificate folder, under the control plane's.
const (
	caCertFile     = "ca.crt"
	caKeyFile      = "ca.key"
	servingFile    = "apiserver.crt"
	servingKeyFile = "apiserver.key"
	tokenKeyFile   = "sa.key"
	// What the API server shows kubelets.
	kubeletClientFile    = "kubelet-client.crt"
	kubeletClientKeyFile = "kubelet-client.key"
)

// mastersGroup may do everything, without a role.
const mastersGroup = "system:masters"

// kubeletClient is who the API server is to kubelets, as kubeadm has it.
const kubeletClient = "kube-apiserver-kubelet-client"

// The longest that anything here is used.
const certLifetime = 10 * 365 * 24 * time.Hour

// authority signs what the API server and its clients show each other.
type authority struct {
	cert    *x509.Certificate
	certPEM []byte
	key     *ecdsa.PrivateKey
}

// pair is a certificate and its key, PEM.
type pair struct{ cert, key []byte }

// newAuthority makes the authority, the API server's certificate for the
// addresses, and the key that signs service account tokens, and writes them to dir.
func newAuthority(dir string, addrs ...netip.Addr) (*authority, error) {
	a, err := selfSigned()
	if err != nil {
		return nil, err
	}
	serving, err := a.issue(servingTemplate(addrs))
	if err != nil {
		return nil, err
	}
	tokens, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make token key: %w", err)
	}
	kubelets, err := a.client(kubeletClient, []string{mastersGroup})
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make certificate folder: %w", err)
	}
	for name, content := range map[string][]byte{
		caCertFile:     a.certPEM,
		caKeyFile:      keyPEM(a.key),
		servingFile:    serving.cert,
		servingKeyFile: serving.key,
		tokenKeyFile:   keyPEM(tokens),

		kubeletClientFile:    kubelets.cert,
		kubeletClientKeyFile: kubelets.key,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, fmt.Errorf("write certificates: %w", err)
		}
	}
	return a, nil
}

// loadAuthority reads what newAuthority wrote.
func loadAuthority(dir string) (*authority, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, caCertFile))
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(key)
	if certBlock == nil || keyBlock == nil {
		return nil, fmt.Errorf("read authority in %s: not PEM", dir)
	}
	a := &authority{certPEM: certPEM}
	if a.cert, err = x509.ParseCertificate(certBlock.Bytes); err != nil {
		return nil, fmt.Errorf("parse authority: %w", err)
	}
	if a.key, err = x509.ParseECPrivateKey(keyBlock.Bytes); err != nil {
		return nil, fmt.Errorf("parse authority's key: %w", err)
	}
	return a, nil
}

func selfSigned() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make authority's key: %w", err)
	}
	t := template(pkix.Name{CommonName: "fairlead-lab"})
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse authority: %w", err)
	}
	return &authority{cert: cert, certPEM: certPEM(der), key: key}, nil
}

// client issues a certificate that the API server takes as this user in these groups.
func (a *authority) client(user string, groups []string) (pair, error) {
	t := template(pkix.Name{CommonName: user, Organization: groups})
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(t)
}

func (a *authority) issue(t *x509.Certificate) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("make key of %s: %w", t.Subject.CommonName, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return pair{}, fmt.Errorf("make certificate of %s: %w", t.Subject.CommonName, err)
	}
	return pair{cert: certPEM(der), key: keyPEM(key)}, nil
}

func servingTemplate(addrs []netip.Addr) *x509.Certificate {
	t := template(pkix.Name{CommonName: "kube-apiserver"})
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	for _, addr := range addrs {
		t.IPAddresses = append(t.IPAddresses, net.IP(addr.AsSlice()))
	}
	return t
}

func template(subject pkix.Name) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    now.Add(-time.Hour), // a clock may be set while the lab runs
		NotAfter:     now.Add(certLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(key *ecdsa.PrivateKey) []byte {
	der, _ := x509.MarshalECPrivateKey(key) // fails for unnamed curves only
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}
