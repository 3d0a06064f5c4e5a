package store

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What other networks use is given to nobody, until it is not seen any more.
func TestForeignAddresses(t *testing.T) {
	s := leased("10.0.0.0/29", "10.9.0.0/24")
	block := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/29")}
	mustAllocate := func(id string) netip.Addr {
		t.Helper()
		got, err := s.Allocate(Request{Attachment: Attachment{ContainerID: id, IfName: "eth0", HostVeth: "fl" + id}, Now: at(1), Rest: Cooldown})
		if err != nil {
			t.Fatal(err)
		}
		return got[0]
	}
	ours := mustAllocate("a")
	taken, freed := s.SetForeign(addrs("10.0.0.0", "10.0.0.1", "10.0.0.3", "10.9.0.1", "192.0.2.1", "10.0.0.3"), block, at(2))
	if len(taken) != 2 || len(freed) != 0 || s.Foreign(block[0]) != 2 {
		t.Errorf("taken %v, freed %v", taken, freed)
	}
	if held := s.Held(Attachment{ContainerID: "a", IfName: "eth0"}); len(held) != 1 || held[0].Address != ours {
		t.Errorf("the pod's address was taken from it: %v", held)
	}
	var got []netip.Addr
	for _, id := range []string{"b", "c"} {
		got = append(got, mustAllocate(id))
	}
	if want := addrs("10.0.0.2", "10.0.0.4"); !slices.Equal(got, want) {
		t.Errorf("given out %v, want %v", got, want)
	}
	if _, used := s.Usage(block[0]); used != 5 {
		t.Errorf("%d in use, want 5", used)
	}

	taken, freed = s.SetForeign(addrs("10.0.0.1"), block, at(3))
	if len(taken) != 0 || len(freed) != 1 || freed[0].Address != addrs("10.0.0.3")[0] {
		t.Errorf("taken %v, freed %v", taken, freed)
	}
	if next := mustAllocate("d"); next != addrs("10.0.0.5")[0] {
		t.Errorf("next is %s: one freed just now comes last", next)
	}
	if len(s.Released) != 1 {
		t.Errorf("released %v", s.Released)
	}
	s.SetForeign(addrs("10.0.0.1", "10.0.0.3"), block, at(4)) // it came again
	if len(s.Released) != 0 {
		t.Errorf("an address in use is listed for reuse: %v", s.Released)
	}
	// The file keeps them, and other kinds' ends do not end them.
	data, err := encode(s)
	if err != nil {
		t.Fatal(err)
	}
	read, ok := parse(string(data))
	if !ok {
		t.Errorf("not in the usual form: %s", data)
	}
	if diff := cmp.Diff(s.Allocations, read.Allocations, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	s.ReleaseLeaks(nil, at(1<<40), 0)
	s.ReleaseGone(Namespaces{}, at(1<<40))
	s.ReleaseOverlay(nil, at(1<<40))
	if s.Foreign(block[0]) != 2 {
		t.Error("freed by what knows nothing of them")
	}
	s.ForgetForeign()
	if s.Foreign(block[0]) != 0 {
		t.Error("not forgotten")
	}
}
