package link_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane/link"
	"fairlead.dev/dataplane/nstest"
)

// Pods of other networks: ptp's have a route each, those behind a bridge are heard.
func TestInUse(t *testing.T) {
	withNode(t, func(node *link.Node, pod *link.Namespace, n, p nstest.NS) {
		if err := node.Wire(pod, spec("c", addr4, addr6)); err != nil {
			t.Fatal(err)
		}
		n.Run(t, "ip", "link", "add", "cni0", "type", "bridge")
		n.Run(t, "ip", "link", "set", "cni0", "up")
		for _, args := range [][]string{
			{"neigh", "add", "10.77.1.20", "lladdr", "02:00:00:00:00:01", "nud", "permanent"},
			{"neigh", "add", "10.77.1.21", "lladdr", "02:00:00:00:00:01", "nud", "reachable"},
			{"neigh", "add", "10.77.1.22", "lladdr", "02:00:00:00:00:01", "nud", "stale"},
			{"neigh", "add", "10.78.1.23", "lladdr", "02:00:00:00:00:01", "nud", "permanent"},
			{"neigh", "add", "fd77:1::20", "lladdr", "02:00:00:00:00:01", "nud", "permanent"},
			{"route", "add", "10.77.1.30/32"},
			{"route", "add", "fd77:1::30/128"},
			{"route", "add", "10.77.1.64/26"},
			{"route", "add", "10.78.1.30/32"},
		} {
			n.Run(t, "ip", append(args, "dev", "cni0")...)
		}
		n.Run(t, "ip", "route", "add", "blackhole", "10.77.1.31/32", "proto", "170")
		found, err := node.InUse([]netip.Prefix{netip.MustParsePrefix("10.77.1.0/24"), netip.MustParsePrefix("fd77:1::/64")})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range found {
			got = append(got, a.String())
		}
		want := []string{"10.77.1.20", "10.77.1.21", "10.77.1.30", "fd77:1::20", "fd77:1::30"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in use (-want +got):\n%s", diff)
		}
	})
}
