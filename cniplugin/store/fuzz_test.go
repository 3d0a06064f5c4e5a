package store

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
)

// fuzzSteps bounds an input: longer ones find nothing that this many do not.
const fuzzSteps = 100

// FuzzState drives a state through any sequence of what plugin and agent do and
// checks after each step what must always hold, and at the end that all of it
// outlives the way to disk (each step is the last of some input). Two bytes are a
// step. Run it with -fuzzminimizetime 10x: by default each input with new
// coverage is made smaller for a minute, and nothing else is tried meanwhile.
func FuzzState(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 1, 1, 0, 3, 2, 0, 0, 4, 3, 0, 0, 5})
	f.Add(bytes.Repeat([]byte{0, 1, 1, 1}, 20))
	f.Add(bytes.Repeat([]byte{0, 1, 0, 2, 0, 3, 4, 0, 2, 5}, 10))
	f.Add([]byte{2, 15, 6, 1, 6, 2, 7, 1, 7, 9, 8, 3, 6, 1, 1, 1, 8, 2})
	f.Add([]byte{0, 1, 0, 2, 0, 3, 4, 0, 2, 5, 0, 1, 0, 2, 0, 3, 4, 0, 6, 5})
	f.Add([]byte{2, 15, 9, 0x1b, 0, 1, 0, 2, 9, 0x19, 0, 3, 9, 0, 0, 4, 2, 14, 9, 0xff})
	f.Fuzz(func(t *testing.T, steps []byte) {
		s := leased("10.0.1.0/30", "fd00::/126")
		for i := 0; i+1 < min(len(steps), 2*fuzzSteps); i += 2 {
			now := at(time.Duration(i) * time.Second)
			step(t, s, steps[i]%10, steps[i+1], now)
			checkInvariants(t, s)
		}
		checkRoundTrip(t, s)
	})
}

func step(t *testing.T, s *State, verb, arg byte, now Stamp) {
	id := fmt.Sprint(arg % 12)
	switch verb {
	case 0:
		checkAllocate(t, s, Request{Attachment: who(id), Network: "net", Now: now, Rest: 20 * time.Second})
	case 1:
		s.Free(who(id), now)
	case 2:
		s.SetLeases(anyLeases(arg))
	case 3:
		s.ReleaseLeaks([]string{"fl" + id, "fl1", "fl2"}, now, time.Minute)
	case 4:
		for _, held := range s.Stale(KindPod, "net", []Attachment{who(id), who("3")}) {
			s.Free(Attachment{ContainerID: held.ContainerID, IfName: held.IfName, HostVeth: held.HostVeth}, now)
		}
	case 5:
		*s = State{Allocations: rebuilt(nil, now)}
		s.SetLeases(anyLeases(arg))
	case 6:
		checkAllocate(t, s, Request{
			Attachment: ipamOf(id), Network: "lan", Now: now, Pools: []string{"p0", "p1"}, Families: []Family{IPv4},
			Netns: "/run/netns/" + id, NetnsInode: uint64(arg), Skip: func(a netip.Addr) bool { return a.As16()[15]&1 == arg&1 },
		})
	case 7: // by name, of any block or none
		addr := netip.AddrFrom4([4]byte{10, 0, arg & 3, arg >> 5})
		checkAllocate(t, s, Request{Attachment: who(id), Network: "net", Now: now, Rest: time.Minute, Addresses: []netip.Addr{addr}})
	case 8:
		s.Free(ipamOf(id), now)
		s.ReleaseGone(Namespaces{"/run/netns/1": 0, "/run/netns/2": 2}, now)
	case 9:
		checkForeign(t, s, arg, now)
	}
}

// checkForeign lets another network use what the bits of arg say.
func checkForeign(t *testing.T, s *State, arg byte, now Stamp) {
	var blocks []netip.Prefix
	for _, l := range s.Leases {
		blocks = append(blocks, l.CIDR)
	}
	var found []netip.Addr
	for bit := range byte(8) {
		if arg>>bit&1 == 1 {
			found = append(found, netip.AddrFrom4([4]byte{10, 0, 1 + bit>>2, bit & 3}))
		}
	}
	before := snapshot(s)
	s.SetForeign(found, blocks, now)
	for _, held := range before.Allocations {
		if held.Kind != KindForeign && !slices.ContainsFunc(s.Allocations, func(a Allocation) bool { return reflect.DeepEqual(a, held) }) {
			t.Fatalf("%+v was taken from its holder", held)
		}
	}
	for _, addr := range found {
		covered := slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Contains(addr) })
		if _, held := slices.BinarySearchFunc(s.Allocations, Allocation{Address: addr}, compareAllocation); covered && !held {
			t.Fatalf("%s is in use, and free", addr)
		}
	}
	for _, a := range s.Allocations {
		if a.Kind == KindForeign && !slices.Contains(found, a.Address) {
			t.Fatalf("%s is not in use, and held", a.Address)
		}
	}
}

func ipamOf(id string) Attachment { return Attachment{Kind: KindIPAM, ContainerID: id, IfName: "eth0"} }

// anyLeases makes each bit of arg a block, open, closed, or with a reserved range.
func anyLeases(arg byte) (leases []Lease) {
	for bit, block := range prefixes("10.0.1.0/30", "10.0.2.0/30", "fd00::/126", "fd00::8/126") {
		if arg>>bit&1 == 1 {
			l := Lease{CIDR: block, UID: block.String(), Pool: fmt.Sprint("p", bit), Closed: arg>>(bit+4)&1 == 1, IPAMOnly: arg&0x48 == 0x48}
			if arg&0x81 == 0x81 {
				l.Reserved = []netip.Prefix{netip.PrefixFrom(block.Addr(), block.Addr().BitLen())}
			}
			leases = append(leases, l)
		}
	}
	return leases
}

func checkAllocate(t *testing.T, s *State, r Request) {
	before := snapshot(s)
	held := len(s.Allocations)
	families := 0
	for _, f := range []Family{IPv4, IPv6} {
		if r.wants(f) {
			families += min(1, len(s.openLeases(f, r)))
		}
	}
	addrs, err := s.Allocate(r)
	switch {
	case err != nil:
		if !slices.ContainsFunc([]error{ErrHeld, ErrExhausted, ErrNoLease, ErrTaken, ErrNotHere}, func(kind error) bool { return errors.Is(err, kind) }) {
			t.Fatalf("error of no kind: %v", err)
		}
		if after := snapshot(s); !reflect.DeepEqual(before, after) {
			t.Fatalf("a failed allocation (%v) changed\n%+v\nto\n%+v", err, before, after)
		}
	case len(addrs) != families || len(s.Allocations) != held+families:
		t.Fatalf("got %v for %d families", addrs, families)
	}
	for _, addr := range addrs {
		if !slices.ContainsFunc(s.Leases, func(l Lease) bool { return !l.Closed && l.serves(r) && l.gives(addr) }) || r.skips(addr) {
			t.Fatalf("%s is not to be given", addr)
		}
	}
}

// snapshot shares no list with s.
func snapshot(s *State) State {
	c := *s
	c.Leases, c.Allocations, c.Released = slices.Clone(s.Leases), slices.Clone(s.Allocations), slices.Clone(s.Released)
	return c
}

func checkRoundTrip(t *testing.T, s *State) {
	data, err := encode(s)
	if err != nil {
		t.Fatal(err)
	}
	back, err := decode(data)
	if err != nil {
		t.Fatalf("state does not read back: %v\n%s", err, data)
	}
	if again, _ := encode(&back); !bytes.Equal(again, data) {
		t.Fatalf("state changed on its way to disk:\n%s\n%s", data, again)
	}
}

func checkInvariants(t *testing.T, s *State) {
	for i, r := range s.Released {
		switch {
		case slices.ContainsFunc(s.Allocations, func(a Allocation) bool { return a.Address == r.Address }):
			t.Fatalf("%s is both held and released", r.Address)
		case slices.ContainsFunc(s.Released[:i], func(o Release) bool { return o.Address == r.Address }):
			t.Fatalf("%s is released twice", r.Address)
		case !slices.ContainsFunc(s.Leases, func(l Lease) bool { return l.CIDR.Contains(r.Address) }):
			t.Fatalf("%s is released but no lease covers it", r.Address)
		}
	}
	for _, a := range s.Allocations {
		if !slices.ContainsFunc(s.Leases, func(l Lease) bool { return l.CIDR.Contains(a.Address) }) {
			t.Fatalf("%s is held but its lease was dropped", a.Address)
		}
	}
}

// FuzzDecode: whatever is in the file, the answer is an error or a state that holds.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"leases":[{"cidr":"10.0.0.0/26","uid":"u","pool":"p"}],"allocations":[{"address":"10.0.0.1","kind":"pod"}]}`))
	f.Add([]byte(`{"version":1,"leases":[{"cidr":"::ffff:10.0.0.0/122"}],"released":[{"address":"10.0.0.1","at":-5}]}`))
	f.Add([]byte(`{"version":1,"allocations":[{"address":"fe80::1%eth0"}]}`))
	f.Add([]byte(newer))
	f.Add([]byte(`{"version":2,"allocations":[{"address":"10.0.0.1","kind":"ipam"},{"address":"10.0.0.1","kind":"ipam"}],"leases":7}`))
	f.Add([]byte(`{"VERSION":1,"Leases":[null],"leases":[{}],"allocations":null,"x":{"y":[1e9,"\ud800"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decode(data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error of another kind: %v", err)
			}
			checkSalvage(t, data)
			return
		}
		checkRoundTrip(t, &s)
		held := len(s.Allocations)
		addrs, err := s.Allocate(Request{Attachment: who("x"), Now: at(0)})
		if err == nil && len(s.Allocations) != held+len(addrs) {
			t.Fatalf("allocated %v", addrs)
		}
		if err := s.validate(); err != nil {
			t.Fatal(err)
		}
	})
}

// checkSalvage makes a new state of what there is, as Create does.
func checkSalvage(t *testing.T, data []byte) {
	s := State{Allocations: append(rebuilt(nil, at(0)), salvage(data)...)}
	s.sort()
	checkRoundTrip(t, &s)
}
