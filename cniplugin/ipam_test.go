package cniplugin_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/nstest"
)

// Blocks of one subnet of each family, as two nodes lease them.
var (
	lan4 = []string{"192.0.2.0/27", "192.0.2.32/27"}
	lan6 = []string{"2001:db8:7::/122", "2001:db8:7::40/122"}
)

// leaseLAN gives the node the blocks of pool "lan", which is not advertised, and
// one that is for pods.
func (n *node) leaseLAN(t *testing.T, i int) {
	t.Helper()
	n.update(t, func(s *store.State) {
		s.SetLeases([]store.Lease{
			{CIDR: netip.MustParsePrefix(lan4[i]), UID: "a", Pool: "lan", IPAMOnly: true},
			{CIDR: netip.MustParsePrefix(lan6[i]), UID: "b", Pool: "lan", IPAMOnly: true},
			{CIDR: block4, UID: "c", Pool: "pods"},
		})
	})
}

// lanIPAM is the ipam section of a network in that subnet, with more keys.
func (n *node) lanIPAM(more ...string) string {
	keys := append([]string{
		`"type":"fairlead-ipam"`, `"runDir":"` + n.runDir + `"`, `"pools":["lan"]`,
		`"prefixLength":24`, `"gateway":"192.0.2.1"`, `"prefixLength6":64`, `"gateway6":"2001:db8:7::1"`,
		`"routes":[{"dst":"198.51.100.0/24"},{"dst":"2001:db8:8::/48","gw":"2001:db8:7::2"}]`, `"dns":{"nameservers":["192.0.2.2"]}`,
	}, more...)
	return "{" + strings.Join(keys, ",") + "}"
}

// lanConf is what another plugin passes on: its whole configuration.
func (n *node) lanConf(version string, more ...string) string {
	keys := append([]string{
		`"cniVersion":"` + version + `"`, `"name":"lan"`, `"type":"macvlan"`, `"master":"uplink"`, `"unknown":"to us"`, `"ipam":` + n.lanIPAM(),
	}, more...)
	return "{" + strings.Join(keys, ",") + "}"
}

func (n *node) ipam(verb, conf string, p *pod) (string, error) {
	return n.runAs("fairlead-ipam", verb, conf, p.env()...)
}

// unattached is a pod of which only fairlead-ipam is to know.
func (n *node) unattached(t *testing.T) *pod {
	t.Helper()
	ns := nstest.New(t, "pod")
	return &pod{ns: ns, node: n, rt: &libcni.RuntimeConf{ContainerID: ns.Name, NetNS: ns.Path(), IfName: "net1"}}
}

// The abbreviated result of an IPAM plugin, in every version: no interfaces, and
// addresses without one.
func TestIPAMResult(t *testing.T) {
	for _, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			n := newNode(t)
			n.leaseLAN(t, 0)
			p := n.unattached(t)
			out, err := n.ipam("ADD", n.lanConf(version), p)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatal(err)
			}
			ip := func(family, address, gateway string) map[string]any {
				ip := map[string]any{"address": address, "gateway": gateway}
				if version < "1" {
					ip["version"] = family
				}
				return ip
			}
			want := map[string]any{
				"cniVersion": version,
				"ips":        []any{ip("4", "192.0.2.3/24", "192.0.2.1"), ip("6", "2001:db8:7::3/64", "2001:db8:7::1")},
				"routes": []any{
					map[string]any{"dst": "198.51.100.0/24", "gw": "192.0.2.1"}, map[string]any{"dst": "2001:db8:8::/48", "gw": "2001:db8:7::2"},
				},
				"dns": map[string]any{"nameservers": []any{"192.0.2.2"}},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			inode, err := store.NamespaceInode(p.rt.NetNS)
			if err != nil {
				t.Fatal(err)
			}
			held := n.state(t).Allocations
			if len(held) != 2 || held[0].Kind != store.KindIPAM || held[0].Network != "lan" || held[0].Netns != p.rt.NetNS ||
				held[0].NetnsInode != inode || held[0].HostVeth != "" || held[0].ContainerID != p.rt.ContainerID || held[0].IfName != "net1" {
				t.Errorf("held: %+v", held)
			}
			if _, err := n.ipam("DEL", n.lanConf(version), p); err != nil {
				t.Error(err)
			}
		})
	}
}

// The verbs one after the other, and each of them twice.
func TestIPAMVerbs(t *testing.T) {
	n := newNode(t)
	n.leaseLAN(t, 0)
	p, q := n.unattached(t), n.unattached(t)
	conf := n.lanConf("1.1.0")
	out, err := n.ipam("ADD", conf, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.ipam("ADD", conf, q); err != nil {
		t.Fatal(err)
	}
	_, err = n.ipam("ADD", conf, p)
	expect(t, err, 100, p.rt.ContainerID)
	_, err = n.ipam("STATUS", conf, p)
	if err != nil {
		t.Errorf("STATUS: %v", err)
	}
	_, err = n.ipam("CHECK", conf, p)
	expect(t, err, types.ErrInvalidNetworkConfig, "prevResult")
	checked := n.lanConf("1.1.0", `"prevResult":`+out)
	if _, err := n.ipam("CHECK", checked, p); err != nil {
		t.Errorf("CHECK: %v", err)
	}
	_, err = n.ipam("CHECK", checked, q)
	expect(t, err, 101, "reserved")

	n.update(t, func(s *store.State) { // as the agent adopts it after the store was removed
		for i := range s.Allocations {
			if a := &s.Allocations[i]; a.ContainerID == p.rt.ContainerID {
				a.ContainerID, a.IfName = "", ""
			}
		}
	})
	if _, err := n.ipam("CHECK", checked, p); err != nil {
		t.Errorf("CHECK of an adopted entry: %v", err)
	}
	_, err = n.ipam("CHECK", checked, q)
	expect(t, err, 101, "reserved")
	n.update(t, func(s *store.State) {
		for i := range s.Allocations {
			if a := &s.Allocations[i]; a.ContainerID == "" {
				a.ContainerID, a.IfName = p.rt.ContainerID, p.rt.IfName
			}
		}
	})

	// The pod's interface of the node's own network is another attachment, by GC too.
	valid := fmt.Sprintf(`"cni.dev/valid-attachments":[{"containerID":%q,"ifname":"net1"}]`, q.rt.ContainerID)
	if _, err := n.run("GC", strings.Replace(n.conf("1.1.0", valid), "testnet", "lan", 1)); err != nil || len(n.state(t).Allocations) != 4 {
		t.Errorf("GC of a network of that name of plugin fairlead: %v, %+v", err, n.state(t).Allocations)
	}
	if _, err := n.run("DEL", n.conf("1.1.0"), p.env()...); err != nil || len(n.state(t).Allocations) != 4 {
		t.Errorf("DEL of plugin fairlead: %v, %+v", err, n.state(t).Allocations)
	}
	for range 2 {
		if _, err := n.ipam("GC", n.lanConf("1.1.0", valid), p); err != nil {
			t.Errorf("GC: %v", err)
		}
		if held := n.state(t).Allocations; len(held) != 2 || held[0].ContainerID != q.rt.ContainerID {
			t.Errorf("held after GC: %+v", held)
		}
	}
	for _, netns := range []string{"", "/run/netns/gone"} {
		if _, err := n.runAs("fairlead-ipam", "DEL", conf, "CNI_CONTAINERID="+q.rt.ContainerID, "CNI_IFNAME=net1", "CNI_NETNS="+netns); err != nil {
			t.Errorf("DEL: %v", err)
		}
	}
	n.checkNothingLeft(t)
	if err := os.RemoveAll(n.storeDir()); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"DEL", "GC"} {
		if _, err := n.ipam(verb, n.lanConf("1.1.0", valid), q); err != nil {
			t.Errorf("%s without a store: %v", verb, err)
		}
	}
	_, err = n.ipam("STATUS", conf, p)
	expect(t, err, types.ErrPluginNotAvailable, "fairlead-agent")
}

// What fairlead-ipam refuses, each with a word of what would be right.
func TestIPAMRefuses(t *testing.T) {
	n := newNode(t)
	n.leaseLAN(t, 0)
	for _, tc := range []struct {
		name, conf, netns string
		code              uint
		says              string
	}{
		{"another pool", strings.Replace(n.lanConf("1.1.0"), `["lan"]`, `["other"]`, 1), "", types.ErrTryAgainLater, "is of pool lan, not of other"},
		{"a pool without a family", strings.Replace(n.lanConf("1.1.0"), `["lan"]`, `["pods"]`, 1), "", types.ErrTryAgainLater, "IPv6: block 2001:db8:7::/122 is of pool lan, not of pods"},
		{"a pool of another subnet", strings.Replace(n.lanConf("1.1.0"), `["lan"]`, `["pods","lan"]`, 1), "", types.ErrInvalidNetworkConfig, "gateway 192.0.2.1 is not in 10.77.1.0/24"},
		{"no ipam section", `{"cniVersion":"1.1.0","name":"n"}`, "", types.ErrInvalidNetworkConfig, "ipam is missing"},
		{"a file that is no namespace", n.lanConf("1.1.0"), "/etc/hostname", types.ErrInvalidEnvironmentVariables, "/etc/hostname"},
		{"a namespace that is gone", n.lanConf("1.1.0"), "/run/netns/gone", types.ErrInvalidEnvironmentVariables, "/run/netns/gone"},
		{"a relative path", n.lanConf("1.1.0"), "netns", types.ErrInvalidEnvironmentVariables, "absolute"},
		{"the gateway's address", n.lanConf("1.1.0", `"runtimeConfig":{"ips":["192.0.2.1"]}`), "", 102, "192.0.2.1 cannot be given"},
		{"another length", n.lanConf("1.1.0", `"runtimeConfig":{"ips":["192.0.2.9/25"]}`), "", types.ErrInvalidNetworkConfig, "prefix length is 24"},
		{"an address of another node", n.lanConf("1.1.0", `"runtimeConfig":{"ips":["192.0.2.40"]}`), "", 102, "192.0.2.0/27 uses 0 of 32"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := n.unattached(t)
			if tc.netns != "" {
				p.rt.NetNS = tc.netns
			}
			_, err := n.ipam("ADD", tc.conf, p)
			expect(t, err, tc.code, tc.says)
		})
	}
	p := n.unattached(t)
	if out, err := n.ipam("ADD", n.lanConf("1.1.0", `"runtimeConfig":{"ips":["192.0.2.9/24"]}`), p); err != nil || !strings.Contains(out, "192.0.2.9/24") {
		t.Errorf("an address that is asked for: %v: %s", err, out)
	}
	if _, err := n.ipam("DEL", n.lanConf("1.1.0"), p); err != nil {
		t.Error(err)
	}
}

// The address of a pod whose namespace is gone is found by the agent, and one of
// a pod that lives is not.
func TestIPAMLeak(t *testing.T) {
	n := newNode(t)
	n.leaseLAN(t, 0)
	gone, lives := n.unattached(t), n.unattached(t)
	gone.rt.NetNS = filepath.Join(t.TempDir(), "netns")
	if err := os.Symlink(gone.ns.Path(), gone.rt.NetNS); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*pod{gone, lives} {
		if _, err := n.ipam("ADD", n.lanConf("1.1.0"), p); err != nil {
			t.Fatal(err)
		}
	}
	search := func() (freed []store.Allocation) {
		n.update(t, func(s *store.State) {
			asOf, err := store.Now()
			if err != nil {
				t.Fatal(err)
			}
			freed = s.ReleaseGone(store.Look(s.NamespacePaths()), asOf)
		})
		return freed
	}
	if freed := search(); len(freed) != 0 {
		t.Errorf("freed although both live: %+v", freed)
	}
	if err := os.Remove(gone.rt.NetNS); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(lives.ns.Path(), gone.rt.NetNS); err != nil { // the path is another namespace's
		t.Fatal(err)
	}
	if freed := search(); len(freed) != 2 || freed[0].ContainerID != gone.rt.ContainerID {
		t.Errorf("freed: %+v", freed)
	}
	if _, err := n.ipam("DEL", n.lanConf("1.1.0"), lives); err != nil {
		t.Error(err)
	}
}
