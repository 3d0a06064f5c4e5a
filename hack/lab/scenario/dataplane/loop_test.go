package dataplane

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"fairlead.dev/hack/lab/topology"
)

// unassigned asks for an address of a node's block that no pod has. Each packet
// crosses the uplink once, and none comes back from the node by its default route.
func (s *scene) unassigned(t *testing.T) {
	const node, packets = "n1", 5
	rack, _, err := s.Topology().Node(node)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families() {
		free := lastOf(s.blockOf(t, node, f))
		for _, tor := range rack.ToRs {
			s.countOn(t, tor.Name, f, free)
		}
		var pings sync.WaitGroup
		for _, from := range []string{rack.ToRs[0].Name, rack.ToRs[1].Name, s.c.Role()} {
			pings.Go(func() {
				if loss, err := s.Ping(t.Context(), from, free, packets); err != nil || loss.Received != 0 {
					t.Errorf("%s answers %s: %v, %v", free, from, loss, err)
				}
			})
		}
		pings.Wait()
		in, out := 0, 0
		for _, tor := range rack.ToRs {
			back, forth := s.counted(t, tor.Name)
			in, out = in+back, out+forth
			s.exec(t, tor.Name, "nft", "delete table "+counterTable)
		}
		if in != 0 || out != 3*packets {
			t.Errorf("%s: of %d packets to it, %d left the ToRs for the rack and %d came back", free, 3*packets, out, in)
		}
	}
}

// lastOf is a prefix's last address, which a pod would get last.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// counterTable counts packets to an address on a ToR.
const counterTable = "inet lab-counter"

// countOn counts packets to an address that come to a ToR from its rack, and
// that leave it for there.
func (s *scene) countOn(t *testing.T, tor string, f topology.Family, to netip.Addr) {
	t.Helper()
	match := fmt.Sprintf("%s daddr %s counter", map[topology.Family]string{topology.V4: "ip", topology.V6: "ip6"}[f], to)
	s.exec(t, tor, "nft", strings.Join([]string{
		"add table " + counterTable,
		"add chain " + counterTable + " back { type filter hook prerouting priority 0; }",
		"add chain " + counterTable + " forth { type filter hook postrouting priority 0; }",
		"add rule " + counterTable + " back iifname rack " + match,
		"add rule " + counterTable + " forth oifname rack " + match,
	}, "; "))
}

// counted are the packets of countOn.
func (s *scene) counted(t *testing.T, tor string) (back, forth int) {
	t.Helper()
	var ruleset struct {
		Objects []struct {
			Rule *struct {
				Chain string `json:"chain"`
				Expr  []struct {
					Counter *struct {
						Packets int `json:"packets"`
					} `json:"counter"`
				} `json:"expr"`
			} `json:"rule"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(s.exec(t, tor, "nft", "-j", "list table "+counterTable)), &ruleset); err != nil {
		t.Fatal(err)
	}
	packets := map[string]int{}
	for _, o := range ruleset.Objects {
		if o.Rule == nil {
			continue
		}
		for _, e := range o.Rule.Expr {
			if e.Counter != nil {
				packets[o.Rule.Chain] += e.Counter.Packets
			}
		}
	}
	return packets["back"], packets["forth"]
}
