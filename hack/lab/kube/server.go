package kube

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
)

// etcd listens on unix sockets in the folder: no port to find free, and the API
// server reaches it from any network namespace. Relative to the working
// directory, because a socket's path has at most 107 bytes; etcd wants a port
// in the name.
const (
	etcdSocket     = "etcd.sock:0"
	etcdClientURL  = "unix://" + etcdSocket
	etcdPeerURL    = "unix://peer.sock:0"
	etcdMemberName = "lab"
)

// Service ranges.
const (
	serviceRange4 = "10.96.0.0/16"
	serviceRange6 = "fd00:10:96::/112"
)

// StartEtcd starts etcd over the data that it kept, and returns when it listens.
func (c *ControlPlane) StartEtcd(ctx context.Context) error {
	if c.state.Etcd.alive() {
		return errors.New("start etcd: it runs already")
	}
	// A killed one left its socket.
	if err := os.Remove(filepath.Join(c.dir, etcdSocket)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("start etcd: %w", err)
	}
	var err error
	c.state.Etcd, err = spawn(c.program("etcd",
		"--name="+etcdMemberName,
		"--data-dir=etcd",
		"--listen-client-urls="+etcdClientURL,
		"--advertise-client-urls="+etcdClientURL,
		"--listen-peer-urls="+etcdPeerURL,
		"--initial-advertise-peer-urls="+etcdPeerURL,
		"--initial-cluster="+etcdMemberName+"="+etcdPeerURL,
		"--unsafe-no-fsync", // a lab's data is worth nothing after a power cut
		"--log-level=warn",
	))
	if err != nil {
		return err
	}
	if err := c.state.save(c.dir); err != nil {
		return err
	}
	return waitUntil(ctx, c.state.Etcd, func(context.Context) error {
		_, err := os.Stat(filepath.Join(c.dir, etcdSocket))
		return err
	})
}

// StartAPIServer starts the API server over the data that etcd holds and
// returns when it is ready.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	if c.state.APIServer.alive() {
		return errors.New("start kube-apiserver: it runs already")
	}
	var err error
	if c.state.APIServer, err = spawn(c.program("kube-apiserver", c.apiServerArgs()...)); err != nil {
		return err
	}
	if err := c.state.save(c.dir); err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(c.AdminConfig())
	if err != nil {
		return fmt.Errorf("make client of /readyz: %w", err)
	}
	defer client.CloseIdleConnections()
	return waitUntil(ctx, c.state.APIServer, func(ctx context.Context) error {
		return readyz(ctx, client, c.URL())
	})
}

// KillEtcd ends etcd by SIGKILL and returns when it is gone; its data stays.
func (c *ControlPlane) KillEtcd() error {
	if err := c.state.Etcd.kill(); err != nil {
		return fmt.Errorf("kill etcd: %w", err)
	}
	return nil
}

// KillAPIServer ends the API server by SIGKILL and returns when it is gone.
func (c *ControlPlane) KillAPIServer() error {
	if err := c.state.APIServer.kill(); err != nil {
		return fmt.Errorf("kill kube-apiserver: %w", err)
	}
	return nil
}

// StopAPIServer ends the API server alone; etcd and its data stay.
func (c *ControlPlane) StopAPIServer() error {
	if err := c.state.APIServer.stop(apiServerGrace); err != nil {
		return fmt.Errorf("stop kube-apiserver: %w", err)
	}
	return nil
}

func (c *ControlPlane) apiServerArgs() []string {
	pki := func(name string) string { return filepath.Join(c.dir, "pki", name) }
	args := []string{
		"--etcd-servers=" + etcdClientURL,
		"--bind-address=" + c.state.Address.String(),
		"--advertise-address=" + c.state.Address.String(),
		fmt.Sprintf("--secure-port=%d", c.state.Port),
		"--permit-port-sharing",
		"--client-ca-file=" + pki(caCertFile),
		"--tls-cert-file=" + pki(servingFile),
		"--tls-private-key-file=" + pki(servingKeyFile),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki(tokenKeyFile),
		"--service-account-signing-key-file=" + pki(tokenKeyFile),
		"--service-cluster-ip-range=" + c.serviceRanges(),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged",
		"--kubelet-client-certificate=" + pki(kubeletClientFile),
		"--kubelet-client-key=" + pki(kubeletClientKeyFile),
		"--kubelet-preferred-address-types=InternalIP",
	}
	if c.state.Address.IsLoopback() {
		// The API refuses loopback endpoints of the kubernetes Service.
		args = append(args, "--endpoint-reconciler-type=none")
	}
	return args
}

func (c *ControlPlane) program(name string, args ...string) program {
	return program{
		path: filepath.Join(c.state.Bin, name), args: args,
		dir: c.dir, netns: c.state.NetNS, detach: c.state.Detach,
	}
}

// waitUntil polls until ready returns nil, the process ends, or time is up.
func waitUntil(ctx context.Context, p *process, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	name := filepath.Base(p.Log)
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if !p.alive() {
			return fmt.Errorf("process ended before it was ready; %s:\n%s", name, p.tail())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("process %d is not ready: %w: %w; %s:\n%s", p.PID, ctx.Err(), err, name, p.tail())
		}
	}
}

func readyz(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", http.NoBody)
	if err != nil {
		return fmt.Errorf("ask /readyz: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answers %s", resp.Status)
	}
	return nil
}

func (c *ControlPlane) serviceRanges() string {
	first, second := serviceRange4, serviceRange6
	if c.state.Address.Is6() {
		first, second = second, first
	}
	if c.state.OneFamily {
		return first
	}
	return first + "," + second
}

// ServiceRange is where Services have their addresses of the first family.
func (c *ControlPlane) ServiceRange() netip.Prefix { return serviceRange(c.state.Address) }

func serviceRange(primary netip.Addr) netip.Prefix {
	if primary.Is6() {
		return netip.MustParsePrefix(serviceRange6)
	}
	return netip.MustParsePrefix(serviceRange4)
}

// serviceAddress is the API server's own Service address in the first range.
func serviceAddress(primary netip.Addr) netip.Addr {
	return serviceRange(primary).Addr().Next()
}
