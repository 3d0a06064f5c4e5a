package store

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

func overlayState(leases ...Lease) *State {
	s := &State{}
	s.SetLeases(leases)
	return s
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

var (
	blockA = netip.MustParsePrefix("10.0.1.0/30")
	blockB = netip.MustParsePrefix("10.0.2.0/30")
	blockC = netip.MustParsePrefix("fd00::/126")
)

func TestHoldOverlay(t *testing.T) {
	all := []netip.Prefix{blockA, blockB, blockC}
	for name, test := range map[string]struct {
		held   []Allocation
		blocks []netip.Prefix
		found  []netip.Addr
		taken  []netip.Addr
	}{
		"one of each family":         {blocks: all, taken: addrs("10.0.1.0", "fd00::")},
		"of the first block that is": {blocks: []netip.Prefix{blockB}, taken: addrs("10.0.2.0")},
		"what is held stays": {
			held: []Allocation{{Address: addrs("10.0.2.3")[0], Kind: KindOverlay}}, blocks: all, taken: addrs("fd00::"),
		},
		"what is held elsewhere does not do": {
			held: []Allocation{{Address: addrs("10.0.2.3")[0], Kind: KindOverlay}}, blocks: []netip.Prefix{blockA}, taken: addrs("10.0.1.0"),
		},
		"what the kernel has": {blocks: all, found: addrs("10.0.2.2", "fd00::2", "192.0.2.1"), taken: addrs("10.0.2.2", "fd00::2")},
		"what the kernel has is a pod's by now": {
			held: []Allocation{{Address: addrs("10.0.2.2")[0], Kind: KindPod, HostVeth: "fl"}}, blocks: []netip.Prefix{blockB},
			found: addrs("10.0.2.2"), taken: addrs("10.0.2.0"),
		},
		"a full block": {
			held: []Allocation{
				{Address: addrs("10.0.1.0")[0], Kind: KindPod},
				{Address: addrs("10.0.1.1")[0], Kind: KindPod},
				{Address: addrs("10.0.1.2")[0], Kind: KindPod},
				{Address: addrs("10.0.1.3")[0], Kind: KindPod},
			},
			blocks: []netip.Prefix{blockA, blockB}, taken: addrs("10.0.2.0"),
		},
		"no block": {found: addrs("10.0.2.2")},
	} {
		t.Run(name, func(t *testing.T) {
			s := overlayState(Lease{CIDR: blockA, Pool: "p"}, Lease{CIDR: blockB, Pool: "p"}, Lease{CIDR: blockC, Pool: "q"})
			s.Allocations = test.held
			if taken := s.HoldOverlay(test.blocks, test.found, Stamp{}); !slices.Equal(taken, test.taken) {
				t.Errorf("took %v, want %v", taken, test.taken)
			}
			if again := s.HoldOverlay(test.blocks, test.found, Stamp{}); again != nil {
				t.Errorf("took %v once more", again)
			}
		})
	}
}

// The node's own address is nobody else's, counts as used, and is freed by the agent alone.
func TestOverlayAddressIsTaken(t *testing.T) {
	s := overlayState(Lease{CIDR: blockA, Pool: "p"})
	s.HoldOverlay([]netip.Prefix{blockA}, nil, Stamp{BootID: "boot"})
	if _, used := s.Usage(blockA); used != 1 {
		t.Errorf("%d in use, want 1", used)
	}
	r := Request{Attachment: Attachment{ContainerID: "c", IfName: "eth0"}, Addresses: addrs("10.0.1.0")}
	if _, err := s.Allocate(r); !errors.Is(err, ErrTaken) {
		t.Errorf("a pod asked for it by name: %v", err)
	}
	later := Stamp{BootID: "another boot"}
	if freed := append(s.ReleaseLeaks(nil, later, 0), s.ReleaseGone(Namespaces{}, later)...); len(freed) != 0 {
		t.Errorf("freed as a leak: %v", freed)
	}
	if freed := s.ReleaseOverlay(s.Overlay(), later); len(freed) != 0 {
		t.Errorf("freed what was to be kept: %v", freed)
	}
	if freed := s.ReleaseOverlay(nil, later); len(freed) != 1 || len(s.Overlay()) != 0 {
		t.Errorf("freed %v, left %v", freed, s.Overlay())
	}
}
