package ipam

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func space(t *testing.T, cidr string, size int, reserved ...string) *Space {
	t.Helper()
	p, err := NewPool(netip.MustParsePrefix(cidr), size, prefixes(t, reserved...)...)
	if err != nil {
		t.Fatal(err)
	}
	return NewSpace(p)
}

// drain takes up to limit blocks and returns them in the order offered.
func drain(s *Space, limit int) []string {
	var out []string
	for len(out) < limit {
		b, ok := s.Next()
		if !ok {
			break
		}
		s.Take(b)
		out = append(out, b.String())
	}
	return out
}

func TestSpaceOffersInOrder(t *testing.T) {
	for _, c := range []struct {
		name, cidr string
		size       int
		reserved   []string
		taken      []string
		want       []string
	}{
		{"empty", "10.0.0.0/24", 26, nil, nil, []string{"10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26", "10.0.0.192/26"}},
		{"end of the IPv4 space", "255.255.255.0/24", 25, nil, nil, []string{"255.255.255.0/25", "255.255.255.128/25"}},
		{
			"end of the IPv6 space", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00/120", 121, nil, nil,
			[]string{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00/121", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff80/121"},
		},
		{"block is the pool", "10.0.0.0/26", 26, nil, nil, []string{"10.0.0.0/26"}},
		{"gaps", "10.0.0.0/24", 26, nil, []string{"10.0.0.64/26", "10.0.0.192/26"}, []string{"10.0.0.0/26", "10.0.0.128/26"}},
		{"wholly reserved blocks are skipped", "10.0.0.0/24", 26, []string{"10.0.0.0/25", "10.0.0.128/28"}, nil, []string{"10.0.0.128/26", "10.0.0.192/26"}},
		{"reserved to the end", "10.0.0.0/24", 26, []string{"10.0.0.64/26", "10.0.0.128/25"}, nil, []string{"10.0.0.0/26"}},
		{"a larger block of another carving", "10.0.0.0/24", 26, nil, []string{"10.0.0.0/25"}, []string{"10.0.0.128/26", "10.0.0.192/26"}},
		{"smaller blocks of another carving", "10.0.0.0/24", 26, nil, []string{"10.0.0.5/32", "10.0.0.224/28"}, []string{"10.0.0.64/26", "10.0.0.128/26"}},
		{"a block around the pool", "10.0.0.0/24", 26, nil, []string{"10.0.0.0/16"}, nil},
		{"taken elsewhere", "10.0.0.0/25", 26, nil, []string{"10.0.1.0/26", "fd00::/122"}, []string{"10.0.0.0/26", "10.0.0.64/26"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := space(t, c.cidr, c.size, c.reserved...)
			for _, p := range prefixes(t, c.taken...) {
				s.Take(p)
			}
			if diff := cmp.Diff(c.want, drain(s, 100)); diff != "" {
				t.Errorf("blocks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSpaceEnds(t *testing.T) {
	s := space(t, "10.0.0.0/24", 26)
	drain(s, 100)
	if b, ok := s.Next(); ok {
		t.Fatalf("an exhausted space offers %s", b)
	}
}

// A range that is reserved for its greater part, and a /8 with its low end
// leased, must not be walked block by block for each lease: that would be 2e10
// steps here, and the test would not end in time.
func TestSpaceStaysFast(t *testing.T) {
	if b, _ := space(t, "fd00::/64", 122, "fd00::/65").Next(); b != netip.MustParsePrefix("fd00:0:0:0:8000::/122") {
		t.Errorf("offers %s, want the first block behind the reserved half", b)
	}
	if last := drain(space(t, "10.0.0.0/8", 26), 200_000)[199_999]; last != "10.195.79.192/26" {
		t.Errorf("offers %s as the last of 200,000", last)
	}
}

// FuzzSpace plays any order of takes and leases, against a plain model.
func FuzzSpace(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 2, 3, 0, 0}, uint8(4))
	f.Add([]byte{9, 1, 200, 4, 17, 0, 1, 1, 1}, uint8(0))
	f.Fuzz(func(t *testing.T, ops []byte, r uint8) {
		pool := netip.MustParsePrefix("10.0.0.0/24")
		p, err := NewPool(pool, 28, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, r}), 27).Masked())
		if err != nil {
			t.Fatal(err)
		}
		s, held := NewSpace(p), map[netip.Prefix]bool{}
		for _, op := range ops {
			target := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, op}), 26+int(op%4)).Masked()
			if op%2 == 0 {
				b, ok := s.Next()
				check(t, p, held, b, ok)
				if ok {
					s.Take(b)
					held[b] = true
				}
			} else {
				s.Take(target)
				held[target] = true
			}
		}
		b, ok := s.Next()
		check(t, p, held, b, ok)
	})
}

// check compares an offer with the lowest free block that a full scan finds.
func check(t *testing.T, p Pool, held map[netip.Prefix]bool, got netip.Prefix, ok bool) {
	t.Helper()
	for a := p.cidr.Addr(); p.cidr.Contains(a); {
		b := netip.PrefixFrom(a, p.size)
		free := p.Addresses(b) > 0
		for h := range held {
			free = free && !h.Overlaps(b)
		}
		if free {
			if !ok || got != b {
				t.Fatalf("offers %s (%t), want %s; held %v", got, ok, b, held)
			}
			return
		}
		a, _ = after(b)
	}
	if ok {
		t.Fatalf("offers %s of a full range; held %v", got, held)
	}
}
