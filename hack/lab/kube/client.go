package kube

import (
	"context"
	"fmt"
	"net"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// tokenLifetime outlives every run of the lab.
const tokenLifetime = 24 * time.Hour

// AdminConfig is a client that may do everything. It works from the caller's
// network namespace, whichever the API server's is.
func (c *ControlPlane) AdminConfig() *rest.Config { return c.certConfig(c.admin) }

// ConfigFor is a client that the API server knows by certificate as this user
// in these groups.
func (c *ControlPlane) ConfigFor(user string, groups ...string) (*rest.Config, error) {
	p, err := c.ca.client(user, groups)
	if err != nil {
		return nil, err
	}
	return c.certConfig(p), nil
}

// TokenConfig is a client with a service account's token.
func (c *ControlPlane) TokenConfig(token string) *rest.Config {
	cfg := c.config()
	cfg.BearerToken = token
	return cfg
}

// TokenFor asks for a service account's token, bound to the Node of that name
// unless it is "": then it carries the node's name as a claim, and is void once
// the Node is gone.
func (c *ControlPlane) TokenFor(ctx context.Context, namespace, serviceAccount, node string) (string, error) {
	client, err := kubernetes.NewForConfig(c.AdminConfig())
	if err != nil {
		return "", fmt.Errorf("make client: %w", err)
	}
	seconds := int64(tokenLifetime.Seconds())
	req := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	if node != "" {
		n, err := client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("get node %s to bind a token to: %w", node, err)
		}
		req.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}
	}
	resp, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, serviceAccount, req, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("request token of %s/%s: %w", namespace, serviceAccount, err)
	}
	return resp.Status.Token, nil
}

// CA is the certificate, PEM, of who signs all others.
func (c *ControlPlane) CA() []byte { return c.ca.certPEM }

// WriteKubeconfig writes a client's configuration (0600). Whoever uses the file
// must reach the API server's address by its own network namespace.
func (c *ControlPlane) WriteKubeconfig(path string, cfg *rest.Config) error {
	const name = "lab"
	file := clientcmdapi.NewConfig()
	file.Clusters[name] = &clientcmdapi.Cluster{Server: cfg.Host, CertificateAuthorityData: cfg.CAData}
	file.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: cfg.CertData, ClientKeyData: cfg.KeyData, Token: cfg.BearerToken,
	}
	file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	file.CurrentContext = name
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		return fmt.Errorf("write kubeconfig %s: %w", path, err)
	}
	return nil
}

func (c *ControlPlane) certConfig(p pair) *rest.Config {
	cfg := c.config()
	cfg.CertData, cfg.KeyData = p.cert, p.key
	return cfg
}

func (c *ControlPlane) config() *rest.Config {
	cfg := &rest.Config{
		Host:            c.URL(),
		TLSClientConfig: rest.TLSClientConfig{CAData: c.ca.certPEM},
		QPS:             -1, // the lab's clients are not to be slowed by themselves
		Timeout:         0,  // watches have no end
	}
	if netns := c.state.NetNS; netns != "" {
		cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialIn(ctx, netns, network, address)
		}
	}
	return cfg
}

// dialIn connects from within another network namespace: a socket stays in the
// one that it was made in, whichever thread uses it later.
func dialIn(ctx context.Context, netns, network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	onThread(func() {
		if err := enterNetNS(netns); err != nil {
			done <- result{err: err}
			return
		}
		// One literal address: net makes the socket on this very goroutine.
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, address)
		done <- result{conn, err}
	})
	r := <-done
	return r.conn, r.err
}
