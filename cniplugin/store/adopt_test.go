package store

import (
	"net/netip"
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
