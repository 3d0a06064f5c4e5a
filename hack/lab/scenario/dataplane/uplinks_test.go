package dataplane

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead.dev/hack/lab/flow"
	"fairlead.dev/hack/lab/topology"
)

// secondUplink is n1's way to the second ToR alone; the first stays on its rack's.
const (
	secondUplink = "eth1"
	secondToR    = "r1-tor2"
	torPort      = "n1"
)

// ends of the second uplink.
func uplinkEnds(f topology.Family) (node, tor netip.Prefix) {
	if f == topology.V4 {
		return netip.MustParsePrefix("172.31.0.1/31"), netip.MustParsePrefix("172.31.0.0/31")
	}
	return netip.MustParsePrefix("fd00:172:31::1/127"), netip.MustParsePrefix("fd00:172:31::/127")
}

// twoUplinks gives n1 an uplink to its second ToR beside that to its rack, and a
// default route by both, until the end of the test. What comes back to n1's own
// address comes by the rack.
func (s *scene) twoUplinks(t *testing.T) {
	t.Helper()
	const node = "n1"
	s.exec(t, node, "ip", "link", "add", secondUplink, "type", "veth", "peer", "name", torPort, "netns", s.NSName(secondToR))
	rack, _, err := s.Topology().Node(node)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.heedCarrier(t, node, "0")
		s.exec(t, node, "ip", "link", "del", secondUplink)
		for _, f := range families() {
			s.exec(t, node, append([]string{"ip", "-" + fmt.Sprint(f.Number()), "route", "replace"}, defaultBy(
				rack.ToRAddress(f, 0), "eth0", rack.ToRAddress(f, 1), "eth0")...)...)
		}
	})
	for _, f := range families() {
		mine, theirs := uplinkEnds(f)
		s.exec(t, node, "ip", "addr", "add", mine.String(), "dev", secondUplink)
		s.exec(t, secondToR, "ip", "addr", "add", theirs.String(), "dev", torPort)
	}
	s.exec(t, node, "ip", "link", "set", secondUplink, "up")
	s.exec(t, secondToR, "ip", "link", "set", torPort, "up")
	for _, f := range families() {
		_, theirs := uplinkEnds(f)
		s.exec(t, node, append([]string{"ip", "-" + fmt.Sprint(f.Number()), "route", "replace"}, defaultBy(
			rack.ToRAddress(f, 0), "eth0", theirs.Addr(), secondUplink)...)...)
	}
	s.heedCarrier(t, node, "1")
}

// heedCarrier says whether a link without carrier is no way, as an operator with
// two uplinks wants it.
func (s *scene) heedCarrier(t *testing.T, node, value string) {
	t.Helper()
	const name = ".conf.all.ignore_routes_with_linkdown="
	s.exec(t, node, "sysctl", "-q", "-w", "net.ipv4"+name+value, "net.ipv6"+name+value)
}

func defaultBy(hop1 netip.Addr, link1 string, hop2 netip.Addr, link2 string) []string {
	return []string{"default", "nexthop", "via", hop1.String(), "dev", link1, "nexthop", "via", hop2.String(), "dev", link2}
}

// sentBy counts the packets that have left a role by a link.
func (s *scene) sentBy(t *testing.T, role, link string) int {
	t.Helper()
	var links []struct {
		Stats struct {
			Tx struct {
				Packets int `json:"packets"`
			} `json:"tx"`
		} `json:"stats64"`
	}
	if err := json.Unmarshal([]byte(s.exec(t, role, "ip", "-j", "-s", "link", "show", "dev", link)), &links); err != nil || len(links) != 1 {
		t.Fatalf("packets on %s of %s: %v, %v", link, role, links, err)
	}
	return links[0].Stats.Tx.Packets
}

// torDies is about a node with two uplinks, each to a ToR of its own. The death of
// one takes no connection to the outside with it, whichever way that went; and
// what went by one comes back by the other.
func (s *scene) torDies(t *testing.T) {
	// So many that they hardly ever all go the same way, by chance.
	const connections = 20
	s.twoUplinks(t)
	t.Cleanup(func() { s.setNATOutgoing(t, false) })
	s.setNATOutgoing(t, true)
	s.serve(t, topology.RoleOutside, port)
	var talks []*talk
	var sources []netip.Addr
	for _, f := range families() {
		own, outside := s.Node("n1").Address(f), s.Topology().OutsideAddress(f)
		s.eventually(t, "own address on both uplinks", func(ctx context.Context) error { return s.ownOnBoth(ctx, t, f) })
		before := s.sentBy(t, "n1", secondUplink)
		byIt := 0
		for range connections {
			c, err := s.dial(t, s.a.Role(), netip.Addr{}, netip.AddrPortFrom(outside, port), patience)
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				if seen, err := c.seen(); err != nil || seen != own {
					t.Fatalf("connection to the outside, %s: seen %s, %v; want %s", f, seen, err, own)
				}
			}
			if now := s.sentBy(t, "n1", secondUplink); now-before >= 20 {
				before = now
				byIt++
			}
			talks, sources = append(talks, c), append(sources, own)
		}
		t.Logf("%s: %d of %d connections go by the second uplink", f, byIt, connections)
		if byIt == 0 || byIt == connections {
			t.Errorf("%s: %d of %d connections go by the second uplink", f, byIt, connections)
		}
	}
	s.unplug(t, secondToR)
	for i, c := range talks {
		if seen, err := c.seen(); err != nil || seen != sources[i] {
			t.Errorf("connection %d after the ToR's death: seen %s, %v; want %s", i, seen, err, sources[i])
		}
	}
}

// ownOnBoth is nil if the outside sees n1's own address, and some packets went by
// the second uplink.
func (s *scene) ownOnBoth(ctx context.Context, t *testing.T, f topology.Family) error {
	t.Helper()
	before := s.sentBy(t, "n1", secondUplink)
	for range 8 {
		if err := s.sourceIs(ctx, s.a, topology.RoleOutside, s.Topology().OutsideAddress(f), s.Node("n1").Address(f)); err != nil {
			return err
		}
	}
	if s.sentBy(t, "n1", secondUplink)-before < flow.Burst {
		return fmt.Errorf("nothing goes by %s", secondUplink)
	}
	return nil
}

// unplug takes the carrier off all links of a router, until the end of the test.
func (s *scene) unplug(t *testing.T, router string) {
	t.Helper()
	far := map[string]string{"n1": secondUplink}
	for _, spine := range s.Topology().Spines {
		far[spine.Name] = router
	}
	set := func(state string) {
		for role, link := range far {
			if role == "n1" {
				s.exec(t, router, "ip", "link", "set", torPort, state)
				continue
			}
			s.exec(t, role, "ip", "link", "set", link, state)
		}
	}
	for role := range far {
		if role != "n1" { // IPv6 addresses would go with the link
			s.exec(t, role, "sysctl", "-q", "-w", "net.ipv6.conf.all.keep_addr_on_down=1")
		}
	}
	s.exec(t, router, "sysctl", "-q", "-w", "net.ipv6.conf.all.keep_addr_on_down=1")
	if err := s.CutCable(t.Context(), router); err != nil {
		t.Fatal(err)
	}
	set("down")
	t.Cleanup(func() {
		set("up")
		if err := s.MendCable(context.WithoutCancel(t.Context()), router); err != nil {
			t.Error(err)
		}
	})
	if out := s.exec(t, "n1", "ip", "link", "show", secondUplink); !strings.Contains(out, "NO-CARRIER") {
		t.Errorf("the second uplink has a carrier: %s", out)
	}
}
