package store

import (
	"errors"
	"net/netip"
	"testing"
)

// mixed is a node with blocks of a pool for pods, of another, and of one that is
// for other plugins' interfaces alone.
func mixed() *State {
	s := &State{Version: 1}
	s.SetLeases([]Lease{
		{CIDR: netip.MustParsePrefix("10.0.1.0/30"), Pool: "blue", Reserved: prefixes("10.0.1.3/32")},
		{CIDR: netip.MustParsePrefix("10.0.2.0/30"), Pool: "red"},
		{CIDR: netip.MustParsePrefix("fd00:2::/126"), Pool: "red"},
		{CIDR: netip.MustParsePrefix("10.0.3.0/30"), Pool: "lan", IPAMOnly: true},
	})
	return s
}

func TestAllocateFromPools(t *testing.T) {
	for _, tc := range []struct {
		name    string
		request Request
		want    string // "" for an error
		err     error
	}{
		{"a pod of any pool", Request{}, "10.0.1.0 fd00:2::", nil},
		{"a pod of one", Request{Pools: []string{"red"}}, "10.0.2.0 fd00:2::", nil},
		{"a pod of a pool that is not for pods", Request{Pools: []string{"lan"}}, "", ErrNoLease},
		{"a pod of a pool that is not here", Request{Pools: []string{"green"}}, "", ErrNoLease},
		{"an interface of no pool", Request{Attachment: Attachment{Kind: KindIPAM}}, "", ErrNoLease},
		{"an interface of the pool for it", Request{Attachment: Attachment{Kind: KindIPAM}, Pools: []string{"lan"}}, "10.0.3.0", nil},
		{"an interface of a pool for pods", Request{Attachment: Attachment{Kind: KindIPAM}, Pools: []string{"red"}, Families: []Family{IPv6}}, "fd00:2::", nil},
		{"a family that must be and is not", Request{Pools: []string{"blue"}, Families: []Family{IPv4, IPv6}}, "", ErrNoLease},
		{"addresses passed over", Request{Pools: []string{"red"}, Skip: func(a netip.Addr) bool { return a.As16()[15] < 2 }}, "10.0.2.2 fd00:2::2", nil},
		{"all passed over", Request{Skip: func(netip.Addr) bool { return true }}, "", ErrExhausted},
		{"one by name", Request{Addresses: []netip.Addr{netip.MustParseAddr("10.0.2.3")}}, "10.0.2.3 fd00:2::", nil},
		{"both by name", Request{Addresses: []netip.Addr{netip.MustParseAddr("fd00:2::3"), netip.MustParseAddr("10.0.1.2")}}, "10.0.1.2 fd00:2::3", nil},
		{"by name, of another pool", Request{Pools: []string{"blue"}, Addresses: []netip.Addr{netip.MustParseAddr("10.0.2.3")}}, "", ErrNotHere},
		{"by name, of no block", Request{Addresses: []netip.Addr{netip.MustParseAddr("10.9.9.9")}}, "", ErrNotHere},
		{"by name, reserved", Request{Addresses: []netip.Addr{netip.MustParseAddr("10.0.1.3")}}, "", ErrNotHere},
		{"by name, passed over", Request{Addresses: []netip.Addr{netip.MustParseAddr("10.0.1.2")}, Skip: func(netip.Addr) bool { return true }}, "", ErrNotHere},
		{"by name, not for pods", Request{Addresses: []netip.Addr{netip.MustParseAddr("10.0.3.1")}}, "", ErrNotHere},
		{"by name, in use", Request{Addresses: []netip.Addr{netip.MustParseAddr("10.0.1.1")}}, "", ErrTaken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mixed()
			s.Allocations = []Allocation{{Address: netip.MustParseAddr("10.0.1.1"), Kind: KindPod, HostVeth: "flother"}}
			tc.request.ContainerID, tc.request.IfName, tc.request.Now = "c", "eth0", at(0)
			addrs, err := s.Allocate(tc.request)
			if !errors.Is(err, tc.err) || join(addrs) != tc.want {
				t.Errorf("got %s, %v, want %s, %v", join(addrs), err, tc.want, tc.err)
			}
			if err != nil && len(s.Allocations) != 1 {
				t.Errorf("a failed request took %+v", s.Allocations)
			}
		})
	}
}

func TestServes(t *testing.T) {
	s := mixed()
	for _, tc := range []struct {
		kind  Kind
		pools []string
		want  bool
	}{
		{KindPod, nil, true},
		{KindPod, []string{"red"}, true},
		{KindPod, []string{"lan"}, false},
		{KindPod, []string{"green"}, false},
		{KindIPAM, nil, false},
		{KindIPAM, []string{"lan"}, true},
		{KindIPAM, []string{"red"}, true},
		{KindIPAM, []string{"green"}, false},
	} {
		if got := s.Serves(tc.kind, tc.pools); got != tc.want {
			t.Errorf("%s of %q: %v", tc.kind, tc.pools, got)
		}
	}
}

// One attachment of each kind may hold addresses of one container and interface;
// neither is the other's.
func TestKindsAreApart(t *testing.T) {
	s := leased("10.0.1.0/26")
	add(t, s, "a", 0)
	other := Attachment{Kind: KindIPAM, ContainerID: "a", IfName: "eth0"}
	if _, err := s.Allocate(Request{Attachment: other, Pools: []string{"pool"}}); err != nil {
		t.Fatal(err)
	}
	if freed := s.Free(other, at(0)); len(freed) != 1 || freed[0].Kind != KindIPAM {
		t.Errorf("freed %+v", freed)
	}
	if held := s.Held(who("a")); len(held) != 1 || held[0].Kind != KindPod {
		t.Errorf("held %+v", held)
	}
}
