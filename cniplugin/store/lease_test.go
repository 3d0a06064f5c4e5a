package store

import (
	"math"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetLeases(t *testing.T) {
	s := leased("10.0.1.0/31", "10.0.2.0/31")
	for _, id := range []string{"a", "b", "c"} { // two in the first block, one in the second
		add(t, s, id, 0)
	}
	s.Free(who("a"), at(0))

	lease := func(block, uid string, closed bool) Lease {
		return Lease{CIDR: netip.MustParsePrefix(block), UID: uid, Pool: "pool", Closed: closed}
	}
	// The first goes while b holds an address there; a third comes, given twice.
	kept := s.SetLeases([]Lease{
		lease("10.0.3.0/31", "uid3", false), lease("10.0.2.0/31", "uid2new", true), lease("10.0.3.0/31", "again", false),
	})
	first := lease("10.0.1.0/31", "uid-10.0.1.0/31", true)
	if diff := cmp.Diff([]Lease{first}, kept, cmpNet); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	want := []Lease{first, lease("10.0.2.0/31", "uid2new", true), lease("10.0.3.0/31", "uid3", false)}
	if diff := cmp.Diff(want, s.Leases, cmpNet); diff != "" {
		t.Errorf("leases (-want +got):\n%s", diff)
	}
	if len(s.Released) != 1 {
		t.Errorf("the kept block's release was forgotten: %v", s.Released)
	}

	s.Free(who("b"), at(0))
	if kept := s.SetLeases(want[1:]); kept != nil {
		t.Errorf("kept although empty: %v", kept)
	}
	if len(s.Leases) != 2 || len(s.Released) != 0 {
		t.Errorf("leases %v, released %v", s.Leases, s.Released)
	}
}

// A block that comes back is open again, its pods still in it.
func TestSetLeasesAgain(t *testing.T) {
	s := leased("10.0.1.0/31")
	add(t, s, "a", 0)
	s.SetLeases(nil)
	if _, err := s.Allocate(ask("b", 0)); err == nil {
		t.Error("a block that is gone gave an address")
	}
	s.SetLeases([]Lease{{CIDR: netip.MustParsePrefix("10.0.1.0/31"), UID: "new"}})
	if got := add(t, s, "b", 0); got != "10.0.1.1" {
		t.Errorf("got %s", got)
	}
}

// The caller's slices are not the store's, and the same leases change nothing.
func TestSetLeasesIsStable(t *testing.T) {
	given := []Lease{{
		CIDR: netip.MustParsePrefix("10.0.1.7/28"), UID: "u",
		Reserved: prefixes("10.0.1.8/32", "10.0.1.0/32"),
	}}
	s := &State{}
	s.SetLeases(given)
	first, _ := encode(s)
	s.SetLeases(given)
	second, _ := encode(s)
	if diff := cmp.Diff(string(first), string(second)); diff != "" {
		t.Errorf("-first +second:\n%s", diff)
	}
	if s.Leases[0].CIDR.String() != "10.0.1.0/28" || !slices.IsSortedFunc(s.Leases[0].Reserved, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) }) {
		t.Errorf("not canonical: %+v", s.Leases[0])
	}
	if given[0].Reserved[0].String() != "10.0.1.8/32" {
		t.Error("the caller's slice was sorted")
	}
}

func TestUsage(t *testing.T) {
	for _, tc := range []struct {
		name     string
		block    string
		reserved []string
		capacity int64
	}{
		{"whole", "10.0.1.0/26", nil, 64},
		{"one address", "10.0.1.0/32", nil, 1},
		{"reserved inside", "10.0.1.0/26", []string{"10.0.1.0/32", "10.0.1.8/29"}, 55},
		{"reserved outside", "10.0.1.0/26", []string{"10.0.2.0/24", "fd00::/64"}, 64},
		{"reserved within reserved", "10.0.1.0/26", []string{"10.0.1.8/29", "10.0.1.8/32", "10.0.1.9/32"}, 56},
		{"all reserved", "10.0.1.0/26", []string{"10.0.0.0/16"}, 0},
		{"itself reserved", "10.0.1.0/26", []string{"10.0.1.0/26"}, 0},
		{"IPv6", "fd00::/122", []string{"fd00::/128"}, 63},
		{"huge", "fd00::/64", nil, math.MaxInt64},
		{"half of huge", "fd00::/64", []string{"fd00::/65", "fd00:0:0:0:8000::/128"}, math.MaxInt64},
		{"huge, but all in use by others", "fd00::/64", []string{"fd00::/65", "fd00:0:0:0:8000::/65"}, 0},
		{"the whole address space", "::/0", []string{"fd00::/8"}, math.MaxInt64},
		{"just countable", "fd00::/66", []string{"fd00::/67"}, 1 << 61},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &State{}
			s.SetLeases([]Lease{{CIDR: netip.MustParsePrefix(tc.block), Reserved: prefixes(tc.reserved...)}})
			if capacity, used := s.Usage(netip.MustParsePrefix(tc.block)); capacity != tc.capacity || used != 0 {
				t.Errorf("got %d, %d, want %d, 0", capacity, used, tc.capacity)
			}
		})
	}
}

func TestUsageCountsUse(t *testing.T) {
	s := leased("10.0.1.0/31", "10.0.2.0/31")
	for _, id := range []string{"a", "b", "c"} {
		add(t, s, id, 0)
	}
	s.Free(who("a"), at(0))
	for block, want := range map[string][2]int64{"10.0.1.0/31": {2, 1}, "10.0.2.0/31": {2, 1}, "10.0.1.0/30": {0, 1}, "10.9.0.0/24": {0, 0}} {
		capacity, used := s.Usage(netip.MustParsePrefix(block))
		if got := [2]int64{capacity, used}; got != want {
			t.Errorf("%s: %v, want %v", block, got, want)
		}
	}
}

// An address in use that was reserved since is none that is free.
func TestUsageOfReserved(t *testing.T) {
	s := leased("10.0.1.0/30")
	add(t, s, "a", 0)
	add(t, s, "b", 0)
	s.Leases[0].Reserved = prefixes("10.0.1.0/32", "10.0.1.2/32")
	if capacity, used := s.Usage(s.Leases[0].CIDR); capacity != 3 || used != 2 {
		t.Errorf("got %d, %d, want 3, of which 10.0.1.3 is free, and 2", capacity, used)
	}
}
