package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/lab/cluster"
)

// patience with a peer that must answer, on a busy machine: a lost SYN is sent
// again after one second, two, and four.
const patience = 15 * time.Second

// podPort is where the pods of cluster.Serve listen.
const podPort = 8080

// ns is the network namespace of a router, a machine, or the host outside.
func (s *scene) ns(role string) nstest.NS { return nstest.NS{Name: s.NSName(role)} }

// processesOf a pod that runs: kubelet names its cgroup by its UID.
func processesOf(pod types.UID) ([]int, error) {
	found, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, file := range found {
		// One that ends just now is none of the pod's any more.
		text, _ := os.ReadFile(file)
		if !strings.Contains(string(text), "/pod"+string(pod)+"/") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// inside is a pod's network namespace, as the host sees it: that of the process
// that lives as long as the pod.
func inside(pod types.UID) (nstest.NS, error) {
	pid, err := processOf(pod, "/pause")
	return nstest.NS{Name: fmt.Sprintf("/proc/%d/ns/net", pid)}, err
}

// processOf a pod that runs a program.
func processOf(pod types.UID, program string) (int, error) {
	pids, err := processesOf(pod)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(pids, func(pid int) bool {
		// One that ends just now is not it.
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return strings.HasPrefix(string(line), program+"\x00")
	})
	if i < 0 {
		return 0, fmt.Errorf("pod %s has no process of %s, but %v", pod, program, pids)
	}
	return pids[i], nil
}

func podNS(t *testing.T, pod corev1.Pod) nstest.NS {
	t.Helper()
	ns, err := inside(pod.UID)
	if err != nil {
		t.Fatalf("%s: %v", pod.Name, err)
	}
	return ns
}

// at are the pods' addresses with the port of their servers.
func at(pods ...corev1.Pod) []netip.AddrPort {
	var all []netip.AddrPort
	for _, pod := range pods {
		for _, a := range cluster.AddressesOf(pod) {
			all = append(all, netip.AddrPortFrom(a, podPort))
		}
	}
	return all
}

// connects opens a connection from a namespace, by its address of the target's
// family where sources has one, to each target, and says which did not take it.
func connects(ctx context.Context, from nstest.NS, sources, targets []netip.AddrPort) error {
	return from.Inside(func() error {
		var errs []error
		for _, to := range targets {
			d := net.Dialer{Timeout: patience}
			for _, source := range sources {
				if source.Addr().Is4() == to.Addr().Is4() {
					d.LocalAddr = net.TCPAddrFromAddrPort(source)
				}
			}
			conn, err := d.DialContext(ctx, "tcp", to.String())
			if err == nil {
				err = conn.Close()
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

// get asks by HTTP from a namespace, by a connection of its own, and returns the answer.
func get(ctx context.Context, from nstest.NS, to netip.AddrPort, path string) (string, error) {
	c := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			insideErr := from.Inside(func() error {
				conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
				return err
			})
			return conn, insideErr
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s%s", to, path), nil)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("ask %s: answered %s: %s", to, resp.Status, text)
	}
	return strings.TrimSpace(string(text)), err
}
