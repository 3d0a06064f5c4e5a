package store

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var cmpNet = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

const boot = "b0075e55-0000-4000-8000-000000000000"

// at is a moment of this boot.
func at(d time.Duration) Stamp { return Stamp{BootID: boot, At: d} }

func prefixes(ss ...string) (out []netip.Prefix) {
	for _, s := range ss {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// leased is a state with open leases.
func leased(blocks ...string) *State {
	s := &State{Version: 1}
	var leases []Lease
	for _, b := range prefixes(blocks...) {
		leases = append(leases, Lease{CIDR: b, UID: "uid-" + b.String(), Pool: "pool"})
	}
	s.SetLeases(leases)
	return s
}

func who(id string) Attachment {
	return Attachment{ContainerID: id, IfName: "eth0", HostVeth: "fl" + id}
}

func ask(id string, now time.Duration) Request {
	return Request{Attachment: who(id), Network: "net", Namespace: "ns", Pod: "pod-" + id, Now: at(now), Rest: time.Minute}
}

// add allocates or ends the test; the answer is the addresses, joined by blanks.
func add(t *testing.T, s *State, id string, now time.Duration) string {
	t.Helper()
	addrs, err := s.Allocate(ask(id, now))
	if err != nil {
		t.Fatalf("allocate for %s: %v", id, err)
	}
	return join(addrs)
}

func join(addrs []netip.Addr) string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return strings.Join(out, " ")
}

func TestAllocateTakesTheLowestNeverUsed(t *testing.T) {
	s := leased("10.0.2.0/31", "10.0.1.0/31") // in any order
	for i, want := range []string{"10.0.1.0", "10.0.1.1", "10.0.2.0", "10.0.2.1"} {
		if got := add(t, s, fmt.Sprint(i), 0); got != want {
			t.Errorf("allocation %d is %s, want %s", i, got, want)
		}
	}
}

func TestAllocateRecordsTheHolder(t *testing.T) {
	s := leased("10.0.1.0/26")
	add(t, s, "c1", 5*time.Second)
	want := []Allocation{{
		Address: netip.MustParseAddr("10.0.1.0"), Kind: KindPod, ContainerID: "c1", IfName: "eth0", HostVeth: "flc1",
		Network: "net", Namespace: "ns", Pod: "pod-c1", BootID: boot, At: 5 * time.Second,
	}}
	if diff := cmp.Diff(want, s.Allocations, cmpNet); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAllocateFamilies(t *testing.T) {
	for _, tc := range []struct {
		name   string
		blocks []string
		closed []string
		want   string
	}{
		{"IPv4", []string{"10.0.1.0/26"}, nil, "10.0.1.0"},
		{"IPv6", []string{"fd00::40/122"}, nil, "fd00::40"},
		{"dual stack, IPv4 first", []string{"fd00::/122", "10.0.1.0/26"}, nil, "10.0.1.0 fd00::"},
		{"one of each family, however many blocks", []string{"10.0.1.0/26", "10.0.2.0/26", "fd00::/122"}, nil, "10.0.1.0 fd00::"},
		{"a closed block is passed over", []string{"10.0.1.0/26", "10.0.2.0/26"}, []string{"10.0.1.0/26"}, "10.0.2.0"},
		{"a family with closed blocks only is on its way out", []string{"10.0.1.0/26", "fd00::/122"}, []string{"fd00::/122"}, "10.0.1.0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := leased(tc.blocks...)
			closeBlocks(s, tc.closed...)
			if got := add(t, s, "c1", 0); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func closeBlocks(s *State, blocks ...string) {
	for i, l := range s.Leases {
		s.Leases[i].Closed = slices.Contains(blocks, l.CIDR.String())
	}
}

func TestAllocateSkipsReserved(t *testing.T) {
	s := leased("10.0.1.0/28")
	s.Leases[0].Reserved = prefixes("10.0.0.0/31", "10.0.1.0/30", "10.0.1.2/32", "10.0.1.6/31", "10.0.1.8/29")
	var got []string
	for i := range 4 {
		addrs, err := s.Allocate(ask(fmt.Sprint(i), 0))
		if err != nil {
			got = append(got, "none")
			continue
		}
		got = append(got, join(addrs))
	}
	if diff := cmp.Diff([]string{"10.0.1.4", "10.0.1.5", "none", "none"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A released address that was reserved since is not given again.
func TestAllocateSkipsReleasedButReserved(t *testing.T) {
	s := leased("10.0.1.0/31")
	add(t, s, "a", 0)
	add(t, s, "b", 0)
	s.Free(who("a"), at(0))
	s.Leases[0].Reserved = prefixes("10.0.1.0/32")
	if addrs, err := s.Allocate(ask("c", time.Hour)); !errors.Is(err, ErrExhausted) {
		t.Errorf("got %v, %v", addrs, err)
	}
}

func TestAllocateReuseOrder(t *testing.T) {
	s := leased("10.0.1.0/30")
	for _, id := range []string{"a", "b", "c"} { // .0 .1 .2
		add(t, s, id, 0)
	}
	s.Free(who("b"), at(10*time.Second))
	s.Free(who("a"), at(20*time.Second))

	steps := []struct {
		id     string
		now    time.Duration
		want   string
		waived uint64
		why    string
	}{
		{"d", 100 * time.Second, "10.0.1.3", 0, "never used, although .1 and .0 are cool"},
		{"e", 75 * time.Second, "10.0.1.1", 0, "released first, and cool"},
		{"f", 76 * time.Second, "10.0.1.0", 1, "within its cooldown, but the last one free"},
	}
	for _, step := range steps {
		if got := add(t, s, step.id, step.now); got != step.want {
			t.Errorf("%s got %s, want %s: %s", step.id, got, step.want, step.why)
		}
		if s.CooldownWaived != step.waived {
			t.Errorf("after %s %d cooldowns waived, want %d", step.id, s.CooldownWaived, step.waived)
		}
	}
	if len(s.Released) != 0 {
		t.Errorf("released although in use: %v", s.Released)
	}
}

// CLOCK_BOOTTIME of an earlier boot says nothing; the order does.
func TestAllocateAfterReboot(t *testing.T) {
	s := leased("10.0.1.0/31")
	s.Released = []Release{
		{Address: netip.MustParseAddr("10.0.1.1"), At: 900 * time.Hour},
		{Address: netip.MustParseAddr("10.0.1.0"), At: 901 * time.Hour},
	}
	if got := add(t, s, "a", time.Second); got != "10.0.1.1" || s.CooldownWaived != 0 {
		t.Errorf("got %s, waived %d", got, s.CooldownWaived)
	}
}

func TestAllocateAllOrNothing(t *testing.T) {
	s := leased("10.0.1.0/26", "fd00::/127")
	add(t, s, "a", 0)
	add(t, s, "b", 0)
	before := len(s.Allocations)
	addrs, err := s.Allocate(ask("c", 0))
	if !errors.Is(err, ErrExhausted) || addrs != nil {
		t.Fatalf("got %v, %v", addrs, err)
	}
	if len(s.Allocations) != before {
		t.Errorf("an IPv4 address was taken: %v", s.Allocations)
	}
	const want = "no free address: IPv6: block fd00::/127 uses 2 of 2"
	if err.Error() != want {
		t.Errorf("error is %q, want %q", err, want)
	}
}

func TestAllocateExhaustedNamesBlocks(t *testing.T) {
	s := leased("10.0.1.0/31", "10.0.2.0/31", "10.0.3.0/31")
	closeBlocks(s, "10.0.3.0/31")
	s.Leases[1].Reserved = prefixes("10.0.2.0/32")
	for i := range 3 {
		add(t, s, fmt.Sprint(i), 0)
	}
	_, err := s.Allocate(ask("x", 0))
	const want = "no free address: IPv4: block 10.0.1.0/31 uses 2 of 2, block 10.0.2.0/31 uses 1 of 1, block 10.0.3.0/31 is closed"
	if err == nil || err.Error() != want {
		t.Errorf("error is %q, want %q", err, want)
	}
}

func TestAllocateWithoutLease(t *testing.T) {
	if _, err := leased().Allocate(ask("x", 0)); !errors.Is(err, ErrNoLease) {
		t.Errorf("no lease: %v", err)
	}
	s := leased("10.0.1.0/31")
	closeBlocks(s, "10.0.1.0/31")
	_, err := s.Allocate(ask("x", 0))
	if !errors.Is(err, ErrNoLease) || !strings.Contains(err.Error(), "block 10.0.1.0/31 is closed") {
		t.Errorf("closed lease: %v", err)
	}
}

func TestAllocateTwiceForOneAttachment(t *testing.T) {
	s := leased("10.0.1.0/26")
	add(t, s, "a", 0)
	if _, err := s.Allocate(ask("a", 0)); !errors.Is(err, ErrHeld) {
		t.Errorf("second ADD: %v", err)
	}
	second := ask("a", 0)
	second.IfName, second.HostVeth = "net1", "flother"
	if _, err := s.Allocate(second); err != nil {
		t.Errorf("second interface of the container: %v", err)
	}
	s.Allocations[0].ContainerID, s.Allocations[0].IfName = "", "" // as rebuilt from the kernel
	if _, err := s.Allocate(ask("a", 0)); !errors.Is(err, ErrHeld) {
		t.Errorf("ADD after a rebuild: %v", err)
	}
}

// In a block of 2^64 addresses none ever comes up for reuse; what is remembered
// of them must stay small all the same.
func TestReleasedIsBounded(t *testing.T) {
	s := leased("fd00::/64")
	for i := range 2 * maxReleased {
		id := fmt.Sprint(i)
		now := time.Duration(i) * time.Second
		add(t, s, id, now)
		s.Free(who(id), at(now))
	}
	if n := len(s.Released); n > maxReleased+1 {
		t.Errorf("%d released addresses are remembered", n)
	}
	add(t, s, "hot", 0) // clock of another boot: nothing to hold against anyone
}
