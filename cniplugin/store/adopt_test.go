package store

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane"
)

func TestAdopt(t *testing.T) {
	s := leased("10.0.0.0/24")
	first := netip.MustParseAddr(add(t, s, "a", 1))
	late := first.Next().Next()
	routes := []dataplane.PodRoute{{Address: late, HostVeth: "flb"}, {Address: first, HostVeth: "flother"}}
	want := []Allocation{{Address: late, Kind: KindPod, HostVeth: "flb", BootID: boot, At: 5}}
	if diff := cmp.Diff(want, s.Adopt(routes, at(5)), cmpNet); diff != "" {
		t.Errorf("adopted (-want +got):\n%s", diff)
	}
	if again := s.Adopt(routes, at(6)); len(again) != 0 {
		t.Errorf("adopted again: %+v", again)
	}
	if held := s.Held(who("a")); len(held) != 1 || held[0].Address != first {
		t.Errorf("the holder of %s lost it: %+v", first, s.Allocations)
	}
	if got := add(t, s, "c", 7); got != first.Next().String() {
		t.Errorf("the next is %s", got)
	}
	if got := add(t, s, "d", 7); got != late.Next().String() {
		t.Errorf("the next but one is %s, %s is adopted", got, late)
	}
	if freed := s.Free(Attachment{ContainerID: "b", IfName: "eth0", HostVeth: "flb"}, at(8)); len(freed) != 1 {
		t.Errorf("DEL of the pod frees %+v", freed)
	}
	if err := s.validate(); err != nil {
		t.Error(err)
	}
}

// What a namespace has of the blocks, and nobody holds, is its own from then on.
func TestAdoptFound(t *testing.T) {
	block := netip.MustParsePrefix("10.9.0.0/29")
	addr := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, 0, n}) }
	s := State{Allocations: []Allocation{{Address: addr(2), Kind: KindIPAM, ContainerID: "c", Netns: "/run/netns/c", NetnsInode: 3}}}
	adopted := s.AdoptFound([]Found{
		{Netns: "/run/netns/b", NetnsInode: 8, Addresses: []netip.Addr{addr(1), addr(2), addr(9)}},
		{Netns: "/run/netns/d", NetnsInode: 9, Addresses: []netip.Addr{addr(1), addr(0)}},
	}, []netip.Prefix{block}, Stamp{BootID: "boot", At: 7})
	want := []string{"10.9.0.0 /run/netns/d 9 boot 7", "10.9.0.1 /run/netns/b 8 boot 7", "10.9.0.2 /run/netns/c 3  0"}
	var got []string
	for _, a := range s.Allocations {
		got = append(got, fmt.Sprintf("%s %s %d %s %d", a.Address, a.Netns, a.NetnsInode, a.BootID, a.At))
	}
	if !slices.Equal(got, want) || len(adopted) != 2 {
		t.Errorf("holds %q, %d adopted, want %q", got, len(adopted), want)
	}
	if err := s.validate(); err != nil {
		t.Error(err)
	}
}
