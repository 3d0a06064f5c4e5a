package dataplane

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/dataplane"
)

// uplinkChanges takes n4's uplink down and up, gives it another name and another
// MTU, and each time configures it as the machine's network manager would. All
// that is Fairlead's comes back by itself.
func (s *scene) uplinkChanges(t *testing.T) {
	const node, usual, renamed = "n4", "eth0", "lan0"
	s.encapsulatedMeanwhile(t, v1alpha1.EncapsulationVXLANCrossSubnet)
	before := s.routes(t, node)
	restored := func(link string) {
		t.Helper()
		s.restored(t, node, strings.ReplaceAll(before, " dev "+usual+" ", " dev "+link+" "))
		s.eventually(t, "ways by the overlay", func(ctx context.Context) error {
			return s.encapsulated(ctx, v1alpha1.EncapsulationVXLANCrossSubnet)
		})
		for _, f := range families() {
			s.answered(t, s.a.Role(), s.d.Address(f))
			s.answered(t, s.d.Role(), s.c.Address(f))
		}
	}

	s.exec(t, node, "ip", "link", "set", usual, "down")
	s.configure(t, node, usual)
	restored(usual)

	t.Cleanup(func() {
		s.exec(t, node, "sh", "-c", "ip link show "+usual+" >/dev/null 2>&1 || { ip link set "+renamed+" down; ip link set "+renamed+" name "+usual+"; }")
		s.configure(t, node, usual)
	})
	s.exec(t, node, "ip", "link", "set", usual, "down")
	s.exec(t, node, "ip", "link", "set", usual, "name", renamed)
	s.configure(t, node, renamed)
	restored(renamed)
	s.exec(t, node, "ip", "link", "set", renamed, "down")
	s.exec(t, node, "ip", "link", "set", renamed, "name", usual)
	s.configure(t, node, usual)
	restored(usual)

	t.Cleanup(func() { s.exec(t, node, "ip", "link", "set", usual, "mtu", "1500") })
	for _, mtu := range []int{1400, 1500} {
		s.exec(t, node, "ip", "link", "set", usual, "mtu", fmt.Sprint(mtu))
		s.eventually(t, "MTU of the overlay", func(ctx context.Context) error {
			got, err := s.mtu(ctx, node, dataplane.OverlayLink)
			if want := mtu - dataplane.OverlayOverhead4; err == nil && got != want {
				err = fmt.Errorf("%d, want %d", got, want)
			}
			return err
		})
		if mtu < 1500 { // pods remember for minutes what is too much
			for _, f := range families() {
				s.transfer(t, s.d, s.a, f, mtu)
			}
		}
	}
}

// configure gives a node's uplink, whatever its name, what it had at first.
func (s *scene) configure(t *testing.T, node, link string) {
	t.Helper()
	wiring, err := s.Topology().NodeWiring(node, s.NSName)
	if err != nil {
		t.Fatal(err)
	}
	s.exec(t, node, "ip", "link", "set", link, "up")
	for _, line := range wiring.Inside[node] {
		line = strings.ReplaceAll(line, " dev eth0", " dev "+link)
		switch {
		case strings.Contains(line, "addr add") && strings.Contains(line, " dev "+link):
			s.exec(t, node, append([]string{"ip"}, strings.Fields(strings.Replace(line, "addr add", "addr replace", 1))...)...)
		case strings.HasPrefix(line, "route add"):
			s.exec(t, node, append([]string{"ip"}, strings.Fields(strings.Replace(line, "route add", "route replace", 1))...)...)
		}
	}
}

func (s *scene) mtu(ctx context.Context, role, link string) (int, error) {
	out, err := s.Exec(ctx, role, "ip", "-j", "link", "show", "dev", link)
	if err != nil {
		return 0, err
	}
	var links []struct {
		MTU int `json:"mtu"`
	}
	if err := json.Unmarshal([]byte(out), &links); err != nil || len(links) != 1 {
		return 0, fmt.Errorf("%s of %s: %v, %w", link, role, links, err)
	}
	return links[0].MTU, nil
}
