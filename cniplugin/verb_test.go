package cniplugin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin/store"
)

// When ADD returns, packets pass: not one may be lost, either way, in either family.
func TestFirstPacketPasses(t *testing.T) {
	n := newNode(t, block4, block6)
	for range 5 {
		a, b := n.newPod(t, "1.0.0"), n.newPod(t, "1.0.0")
		a.mustAdd(t)
		for _, addr := range addresses(b.mustAdd(t)) {
			a.ns.Run(t, "ping", "-c", "1", "-W", "5", addr.String())
		}
	}
}

func TestVersion(t *testing.T) {
	n := newNode(t)
	out, err := n.run("VERSION", `{"cniVersion":"1.1.0"}`)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ SupportedVersions []string }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"}, got.SupportedVersions); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	p := n.newPod(t, "1.1.0")
	for _, version := range []string{"0.2.0", "1.2.0"} {
		_, err := n.run("ADD", n.conf(version), p.env()...)
		expect(t, err, types.ErrIncompatibleCNIVersion)
	}
}

// DEL succeeds whatever is missing, and the address is free afterwards.
func TestDel(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before func(*testing.T, *node, *pod)
		env    func(*pod) []string
	}{
		{"of a pod", func(t *testing.T, _ *node, p *pod) { p.mustAdd(t) }, (*pod).env},
		{"of what never was", func(*testing.T, *node, *pod) {}, (*pod).env},
		{"with empty CNI_NETNS", func(t *testing.T, _ *node, p *pod) { p.mustAdd(t) }, func(p *pod) []string {
			return []string{"CNI_CONTAINERID=" + p.rt.ContainerID, "CNI_NETNS=", "CNI_IFNAME=eth0"}
		}},
		{"without CNI_NETNS", func(t *testing.T, _ *node, p *pod) { p.mustAdd(t) }, func(p *pod) []string {
			return []string{"CNI_CONTAINERID=" + p.rt.ContainerID, "CNI_IFNAME=eth0"}
		}},
		{"with a namespace that is gone", func(t *testing.T, _ *node, p *pod) { p.mustAdd(t) }, func(p *pod) []string {
			return []string{"CNI_CONTAINERID=" + p.rt.ContainerID, "CNI_NETNS=/run/netns/gone", "CNI_IFNAME=eth0"}
		}},
		{"with the pod's interface gone", func(t *testing.T, _ *node, p *pod) {
			p.mustAdd(t)
			p.ns.Run(t, "ip", "link", "del", "eth0")
		}, (*pod).env},
		{"after a failed ADD", func(t *testing.T, n *node, p *pod) {
			n.lease(t)
			if _, err := p.add(); err == nil {
				t.Error("ADD without a lease succeeded")
			}
		}, (*pod).env},
		{"without a store", func(t *testing.T, n *node, p *pod) {
			p.mustAdd(t)
			if err := os.RemoveAll(n.storeDir()); err != nil {
				t.Fatal(err)
			}
		}, (*pod).env},
		{"with a store rebuilt from the kernel", func(t *testing.T, n *node, p *pod) {
			p.mustAdd(t)
			n.update(t, func(s *store.State) {
				for i := range s.Allocations {
					a := &s.Allocations[i]
					a.ContainerID, a.IfName, a.Network = "", "", ""
				}
			})
		}, (*pod).env},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNode(t, block4, block6)
			p := n.newPod(t, "1.1.0")
			tc.before(t, n, p)
			for range 2 {
				if _, err := n.run("DEL", n.conf("1.1.0"), tc.env(p)...); err != nil {
					t.Errorf("DEL: %v", err)
				}
				n.checkNothingLeft(t)
			}
		})
	}
}

func TestDelThenAddInTheSameNamespace(t *testing.T) {
	n := newNode(t, block4, block6)
	p := n.newPod(t, "1.1.0")
	p.mustAdd(t)
	if err := p.del(); err != nil {
		t.Fatal(err)
	}
	p.mustAdd(t)
	if err := p.check(); err != nil {
		t.Error(err)
	}
}

func TestStatus(t *testing.T) {
	n := newNode(t, netip.MustParsePrefix("10.77.1.0/32"))
	status := func() error { _, err := n.run("STATUS", n.conf("1.1.0")); return err }
	if err := status(); err != nil {
		t.Errorf("ready: %v", err)
	}
	n.newPod(t, "1.1.0").mustAdd(t)
	if err := status(); err != nil {
		t.Errorf("exhausted, which is ADD's to say: %v", err)
	}
	n.update(t, func(s *store.State) { s.Leases[0].Closed = true })
	if err := status(); err != nil {
		t.Errorf("draining: %v", err)
	}
	n.update(t, func(s *store.State) { s.Leases = nil })
	expect(t, status(), types.ErrPluginNotAvailable, "no address block")
	if err := os.WriteFile(filepath.Join(n.storeDir(), "state.json"), []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, status(), types.ErrPluginNotAvailable, "corrupt")
	if err := os.RemoveAll(n.storeDir()); err != nil {
		t.Fatal(err)
	}
	expect(t, status(), types.ErrPluginNotAvailable, "fairlead-agent")
	_, err := n.run("STATUS", n.conf("1.0.0"))
	expect(t, err, types.ErrIncompatibleCNIVersion)
}

func TestGC(t *testing.T) {
	n := newNode(t, block4, block6)
	valid, gone, dead := n.newPod(t, "1.1.0"), n.newPod(t, "1.1.0"), n.newPod(t, "1.1.0")
	for _, p := range []*pod{valid, gone, dead} {
		p.mustAdd(t)
	}
	dead.ns.Run(t, "ip", "link", "del", "eth0")
	other := n.newPod(t, "1.1.0") // of another network with the same store
	if _, err := n.run("ADD", strings.Replace(n.conf("1.1.0"), "testnet", "othernet", 1), other.env()...); err != nil {
		t.Fatal(err)
	}
	conf := n.conf("1.1.0", fmt.Sprintf(`"cni.dev/valid-attachments":[{"containerID":%q,"ifname":"eth0"},{"containerID":"x","ifname":"eth0"}]`, valid.rt.ContainerID))
	for range 2 {
		if _, err := n.run("GC", conf); err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, a := range n.state(t).Allocations {
			left = append(left, a.ContainerID)
		}
		want := []string{valid.rt.ContainerID, other.rt.ContainerID, valid.rt.ContainerID, other.rt.ContainerID}
		if diff := cmp.Diff(want, left); diff != "" {
			t.Errorf("holders left (-want +got):\n%s", diff)
		}
	}
	if links := n.links(t); len(links) != 2 {
		t.Errorf("links left: %v", links)
	}
	if err := valid.check(); err != nil {
		t.Errorf("the valid pod: %v", err)
	}
	if err := os.RemoveAll(n.storeDir()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.run("GC", conf); err != nil {
		t.Errorf("without a store: %v", err)
	}
}

func TestParallelAdds(t *testing.T) {
	n := newNode(t, block4, block6)
	var pods []*pod
	for range 16 {
		pods = append(pods, n.newPod(t, "1.1.0"))
	}
	got := make([][]netip.Addr, len(pods))
	var wg sync.WaitGroup
	for i, p := range pods {
		wg.Go(func() {
			r, err := p.add()
			if err != nil {
				t.Errorf("ADD: %v", err)
				return
			}
			got[i] = addresses(r)
		})
	}
	wg.Wait()
	all := slices.Concat(got...)
	slices.SortFunc(all, netip.Addr.Compare)
	if len(slices.Compact(all)) != 32 {
		t.Errorf("not 32 distinct addresses: %v", all)
	}
	for _, p := range pods {
		if err := p.check(); err != nil {
			t.Errorf("CHECK: %v", err)
		}
	}
}

// SIGKILL at any point of ADD: DEL leaves nothing, and the next ADD works.
func TestKilledAdd(t *testing.T) {
	n := newNode(t, block4, block6)
	finished := 0
	for after := time.Duration(0); after < 12*time.Millisecond; after += 600 * time.Microsecond {
		p := n.newPod(t, "1.1.0")
		cmd := exec.Command("nsenter", "--net="+n.ns.Path(), filepath.Join(binDir, "fairlead"))
		cmd.Env = append([]string{"CNI_COMMAND=ADD", "CNI_PATH=" + binDir}, p.env()...)
		cmd.Stdin = strings.NewReader(n.conf("1.1.0"))
		ctx, cancel := context.WithTimeout(context.Background(), after)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
		if cmd.Wait() == nil {
			finished++
		}
		stop()
		cancel()
		if err := p.del(); err != nil {
			t.Errorf("DEL after a kill at %s: %v", after, err)
		}
		n.checkNothingLeft(t)
	}
	t.Logf("%d ADDs were done before they were killed", finished)
	n.newPod(t, "1.1.0").mustAdd(t)
}

func TestMTU(t *testing.T) {
	n := newNode(t, block4)
	mtu := func(more ...string) string {
		t.Helper()
		p := n.newPod(t, "1.1.0", more...)
		p.mustAdd(t)
		return strings.TrimSpace(p.ns.Run(t, "sh", "-c", "ip -o link show dev eth0 | sed 's/.* mtu \\([0-9]*\\).*/\\1/'"))
	}
	check := func(why, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: MTU %s, want %s", why, got, want)
		}
	}
	check("no uplink", mtu(), "1500")
	for up, size := range map[string]string{"up0": "9000", "up1": "8000"} {
		n.ns.Run(t, "ip", "link", "add", up, "mtu", size, "type", "veth", "peer", "name", up+"p", "mtu", size)
		n.ns.Run(t, "ip", "link", "set", up, "up")
		n.ns.Run(t, "ip", "link", "set", up+"p", "up")
	}
	n.ns.Run(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "up0")
	check("one link with an address", mtu(), "9000")
	n.ns.Run(t, "ip", "addr", "add", "198.51.100.1/24", "dev", "up1")
	check("two links with addresses", mtu(), "8000")
	n.ns.Run(t, "ip", "route", "add", "default", "via", "192.0.2.2")
	check("default route", mtu(), "9000")
	n.ns.Run(t, "ip", "route", "replace", "default", "nexthop", "via", "192.0.2.2", "nexthop", "via", "198.51.100.2")
	check("default route over two", mtu(), "8000")
	n.ns.Run(t, "ip", "link", "add", "fairlead-vxlan", "mtu", "7950", "type", "vxlan", "id", "4096", "dstport", "4789", "local", "192.0.2.1")
	n.ns.Run(t, "ip", "link", "set", "fairlead-vxlan", "up")
	check("an overlay", mtu(), "7950")
	n.ns.Run(t, "ip", "link", "set", "fairlead-vxlan", "mtu", "8950")
	check("a wide overlay", mtu(), "8000")
	check("configured", mtu(`"mtu":1300`), "1300")
	_, err := n.newPod(t, "1.1.0", `"mtu":600`).add()
	expect(t, err, types.ErrInvalidNetworkConfig, "mtu is 600")
}
