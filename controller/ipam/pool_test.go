package ipam

import (
	"math"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(t *testing.T, in ...string) []netip.Prefix {
	t.Helper()
	var out []netip.Prefix
	for _, s := range in {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestNewPoolRefuses(t *testing.T) {
	for _, c := range []struct {
		name, cidr string
		size       int
		want       string
	}{
		{"block larger than range", "10.0.0.0/28", 26, "larger than the range"},
		{"longer than an IPv4 address", "10.0.0.0/16", 33, "only 32 bits"},
		{"longer than an IPv6 address", "fd00::/64", 129, "only 128 bits"},
		{"host bits", "10.0.0.1/16", 26, "canonical"},
		{"mapped", "::ffff:10.0.0.0/112", 122, "canonical"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewPool(netip.MustParsePrefix(c.cidr), c.size)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := NewPool(netip.Prefix{}, 26); err == nil {
		t.Error("an invalid prefix was accepted")
	}
}

func TestCapacity(t *testing.T) {
	for _, c := range []struct {
		name, cidr string
		size       int
		reserved   []string
		want       int64
	}{
		{"one block", "10.0.0.0/26", 26, nil, 1},
		{"a /16 in /26", "10.0.0.0/16", 26, nil, 1024},
		{"a /8 in /26", "10.0.0.0/8", 26, nil, 1 << 18},
		{"a whole family", "0.0.0.0/0", 32, nil, 1 << 32},
		{"IPv6", "fd00::/112", 122, nil, 1024},
		{"huge but countable", "fd00::/64", 126, nil, 1 << 62},
		{"saturates", "fd00::/64", 127, nil, math.MaxInt64},
		{"reserved part of a block", "10.0.0.0/24", 26, []string{"10.0.0.0/28"}, 4},
		{"reserved block", "10.0.0.0/24", 26, []string{"10.0.0.64/26"}, 3},
		{"reserved two blocks", "10.0.0.0/24", 26, []string{"10.0.0.0/25"}, 2},
		{"reserved by halves", "10.0.0.0/24", 26, []string{"10.0.0.32/27", "10.0.0.0/27"}, 3},
		{"reserved twice over", "10.0.0.0/24", 26, []string{"10.0.0.0/26", "10.0.0.0/28", "10.0.0.0/26"}, 3},
		{"reserved whole", "10.0.0.0/24", 26, []string{"10.0.0.0/8"}, 0},
		{"reserved elsewhere", "10.0.0.0/24", 26, []string{"10.0.1.0/24", "fd00::/64"}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := NewPool(netip.MustParsePrefix(c.cidr), c.size, prefixes(t, c.reserved...)...)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Capacity(); got != c.want {
				t.Errorf("capacity %d, want %d", got, c.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		name, cidr, block string
		reserved          []string
		want              int64
	}{
		{"whole block", "10.0.0.0/24", "10.0.0.0/26", nil, 64},
		{"gateway reserved", "10.0.0.0/24", "10.0.0.0/26", []string{"10.0.0.0/32", "10.0.0.1/32"}, 62},
		{"overlapping reservations count once", "10.0.0.0/24", "10.0.0.0/26", []string{"10.0.0.0/28", "10.0.0.4/30"}, 48},
		{"another block's", "10.0.0.0/24", "10.0.0.64/26", []string{"10.0.0.0/26"}, 64},
		{"all reserved", "10.0.0.0/24", "10.0.0.64/26", []string{"10.0.0.0/24"}, 0},
		{"one address", "10.0.0.0/24", "10.0.0.9/32", nil, 1},
		{"IPv6 saturates", "fd00::/32", "fd00::/64", []string{"fd00::/96"}, math.MaxInt64},
	} {
		t.Run(c.name, func(t *testing.T) {
			block := netip.MustParsePrefix(c.block)
			p, err := NewPool(netip.MustParsePrefix(c.cidr), block.Bits(), prefixes(t, c.reserved...)...)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Addresses(block); got != c.want {
				t.Errorf("%d addresses, want %d", got, c.want)
			}
		})
	}
}

func TestContains(t *testing.T) {
	p, err := NewPool(netip.MustParsePrefix("10.0.0.0/24"), 26)
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]bool{
		"10.0.0.0/26": true, "10.0.0.192/26": true,
		"10.0.1.0/26": false, "10.0.0.0/27": false, "10.0.0.1/26": false, "fd00::/26": false,
	} {
		if got := p.Contains(netip.MustParsePrefix(s)); got != want {
			t.Errorf("Contains(%s) = %t, want %t", s, got, want)
		}
	}
}
