package cniplugin_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane/nstest"
)

// referenceDir is where Debian has the reference plugins.
const referenceDir = "/usr/lib/cni"

// The whole of it: macvlan, the reference plugin, on two nodes that one switch
// joins, with addresses of one subnet of which each node leases other blocks.
func TestIPAMUnderMacvlanAcrossTwoNodes(t *testing.T) {
	if _, err := os.Stat(filepath.Join(referenceDir, "macvlan")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("reference plugins are missing: %v", err)
		}
		t.Skipf("reference plugins are missing: %v", err)
	}
	lan := nstest.New(t, "switch")
	lan.Run(t, "ip", "link", "add", "br0", "up", "type", "bridge")
	var pods []*pod
	for i := range 2 {
		n := newNode(t)
		n.leaseLAN(t, i)
		port := fmt.Sprint("port", i)
		lan.Run(t, "ip", "link", "add", port, "type", "veth", "peer", "name", "uplink", "netns", n.ns.Path())
		lan.Run(t, "ip", "link", "set", port, "up", "master", "br0")
		n.ns.Run(t, "ip", "link", "set", "uplink", "up")
		for range 2 {
			pods = append(pods, n.macvlanPod(t))
		}
	}
	var addrs [][]netip.Addr
	for _, p := range pods {
		addrs = append(addrs, addresses(p.mustAdd(t)))
		if err := p.check(); err != nil {
			t.Errorf("CHECK: %v", err)
		}
	}
	want := [][]string{{"192.0.2.3", "2001:db8:7::3"}, {"192.0.2.4", "2001:db8:7::4"}, {"192.0.2.32", "2001:db8:7::40"}, {"192.0.2.33", "2001:db8:7::41"}}
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(addrs)); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	for _, pair := range [][2]int{{0, 1}, {0, 2}, {3, 1}} {
		for _, addr := range addrs[pair[1]] {
			pods[pair[0]].ns.Run(t, "ping", "-c", "1", "-W", "5", addr.String())
		}
	}
	if out := pods[0].ns.Run(t, "ip", "route", "show", "198.51.100.0/24"); !strings.Contains(out, "via 192.0.2.1 dev net1") {
		t.Errorf("the network's route: %s", out)
	}
}

// macvlanPod is a pod with a macvlan of the node's uplink. DEL is run when the
// test is over.
func (n *node) macvlanPod(t *testing.T) *pod {
	t.Helper()
	raw := fmt.Sprintf(`{"cniVersion":"1.0.0","name":"lan","plugins":[{"type":"macvlan","master":"uplink","ipam":%s}]}`, n.lanIPAM())
	list, err := libcni.ConfListFromBytes([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	p := n.unattached(t)
	p.list = list
	// No wait for duplicate address detection: nobody else is there.
	p.ns.Run(t, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
	n.cni = libcni.NewCNIConfigWithCacheDir([]string{binDir, referenceDir}, t.TempDir(), nsExec{n.ns.Path()})
	cni := n.cni
	t.Cleanup(func() {
		if err := cni.DelNetworkList(context.Background(), p.list, p.rt); err != nil {
			t.Errorf("DEL: %v", err)
		}
	})
	return p
}
