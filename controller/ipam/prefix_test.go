package ipam

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMerge(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want []string
	}{
		{"nothing", nil, nil},
		{"halves, any order", []string{"10.0.0.128/25", "10.0.0.0/25"}, []string{"10.0.0.0/24"}},
		{"not halves of one", []string{"10.0.0.128/25", "10.0.1.0/25"}, []string{"10.0.0.128/25", "10.0.1.0/25"}},
		{"quarters cascade", []string{"10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26", "10.0.0.192/26"}, []string{"10.0.0.0/24"}},
		{"inside another", []string{"10.0.0.0/24", "10.0.0.7/32", "10.0.0.0/24"}, []string{"10.0.0.0/24"}},
		{"the whole family", []string{"0.0.0.0/1", "128.0.0.0/1"}, []string{"0.0.0.0/0"}},
		{"families apart", []string{"fd00::/65", "10.0.0.0/25", "fd00:0:0:0:8000::/65"}, []string{"10.0.0.0/25", "fd00::/64"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, p := range merge(prefixes(t, c.in...)) {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("merged (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLast(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.0/26": "10.0.0.63", "10.0.0.7/32": "10.0.0.7", "0.0.0.0/0": "255.255.255.255",
		"10.0.0.0/9": "10.127.255.255", "fd00::/122": "fd00::3f", "fd00::/64": "fd00::ffff:ffff:ffff:ffff",
	} {
		if got := last(netip.MustParsePrefix(in)); got.String() != want {
			t.Errorf("last(%s) = %s, want %s", in, got, want)
		}
	}
}
