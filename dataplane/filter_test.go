package dataplane_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane"
)

func TestFilterCanonical(t *testing.T) {
	prefixes := func(s ...string) (out []netip.Prefix) {
		for _, x := range s {
			out = append(out, netip.MustParsePrefix(x))
		}
		return out
	}
	uplink := func(link, address string) dataplane.Uplink {
		return dataplane.Uplink{Link: link, Address: netip.MustParseAddr(address)}
	}
	got := dataplane.Filter{
		Pods:       prefixes("fd44::/64", "10.244.0.64/26", "10.244.7.0/24", "10.244.0.1/16", "10.243.0.0/16", "10.244.0.0/16", "10.245.0.0/24", "0.0.0.0/8", "fd44::1:0/112"),
		Translated: prefixes("10.244.1.0/24", "10.244.0.0/24"),
		Uplinks:    []dataplane.Uplink{uplink("eth1", "192.0.2.1"), uplink("eth0", "2001:db8::1"), uplink("eth0", "192.0.2.1"), uplink("eth0", "192.0.2.2")},
	}.Canonical()
	want := dataplane.Filter{
		Pods:       prefixes("0.0.0.0/8", "10.243.0.0/16", "10.244.0.0/16", "10.245.0.0/24", "fd44::/64"),
		Translated: prefixes("10.244.0.0/24", "10.244.1.0/24"),
		Uplinks:    []dataplane.Uplink{uplink("eth0", "192.0.2.1"), uplink("eth0", "2001:db8::1"), uplink("eth1", "192.0.2.1")},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("canonical form (-want +got):\n%s", diff)
	}
	if !want.Equal(got) || want.Equal(dataplane.Filter{}) {
		t.Error("Equal does not tell what is equal")
	}
}
