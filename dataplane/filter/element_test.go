package filter

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"fairlead.dev/dataplane"
)

// FuzzRanges: what the kernel would hold for any ranges is read as those ranges.
func FuzzRanges(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint8(3), uint8(0))
	f.Add(^uint64(0), ^uint64(0), uint8(9), uint8(128))
	f.Fuzz(func(t *testing.T, a, b uint64, n, bits uint8) {
		r := rand.New(rand.NewPCG(a, b))
		is := netip.Addr.Is4
		if b%2 == 0 {
			is = netip.Addr.Is6
		}
		var want dataplane.Filter
		for range n {
			want.Pods = append(want.Pods, randomPrefix(r, b%2 == 0, int(bits)))
		}
		want = want.Canonical()
		elements := intervals(want.Pods, is)
		r.Shuffle(len(elements), func(i, j int) { elements[i], elements[j] = elements[j], elements[i] })
		sortElements(elements)
		got, ok := ranges(elements)
		if !ok || !slices.Equal(got, want.Pods) {
			t.Errorf("ranges of %v are %v (%v)", want.Pods, got, ok)
		}
	})
}

// randomPrefix is near the ends of the addresses at times.
func randomPrefix(r *rand.Rand, six bool, least int) netip.Prefix {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	switch r.IntN(8) {
	case 0:
		b = [16]byte{}
	case 1:
		for i := range b {
			b[i] = 0xff
		}
	}
	addr := netip.AddrFrom16(b)
	if addr.Is4In6() || !six {
		addr = netip.AddrFrom4([4]byte(b[:4]))
	}
	bits := min(least, addr.BitLen()) + r.IntN(addr.BitLen()-min(least, addr.BitLen())+1)
	return netip.PrefixFrom(addr, bits).Masked()
}

func TestRangesRefusesWhatIsNone(t *testing.T) {
	want := []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}
	whole := intervals(want, netip.Addr.Is4)
	if got, ok := ranges(whole); !ok || !slices.Equal(got, want) {
		t.Fatalf("ranges are %v", got)
	}
	odd := slices.Clone(whole)
	odd[1].Key = []byte{10, 244, 255, 255}
	if _, ok := ranges(odd); ok {
		t.Error("a range that is no prefix passes")
	}
	if _, ok := ranges(whole[1:]); ok {
		t.Error("an end without a start passes")
	}
	odd[0].Key = []byte{1}
	if _, ok := ranges(odd); ok {
		t.Error("a key that is no address passes")
	}
}
