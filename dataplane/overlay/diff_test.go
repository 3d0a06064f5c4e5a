package overlay

import (
	"cmp"
	"maps"
	"slices"
	"testing"
)

func TestDiff(t *testing.T) {
	want := map[int]string{1: "a", 2: "b", 3: "c", 4: "d"}
	have := map[int][]string{1: {"a"}, 2: {"x"}, 4: {"d", "e"}, 6: {"f"}, 5: {""}}
	set, remove := diff(want, have, cmp.Compare[int])
	if !slices.Equal(set, []int{2, 3, 4}) || !slices.Equal(remove, []int{5, 6}) {
		t.Errorf("set %v, remove %v", set, remove)
	}
}

// table makes of bytes one value a key, or several.
func table(data []byte) map[byte][]byte {
	out := map[byte][]byte{}
	for ; len(data) >= 2; data = data[2:] {
		out[data[0]&7] = append(out[data[0]&7], data[1]&3)
	}
	return out
}

func FuzzDiff(f *testing.F) {
	f.Add([]byte{1, 1, 2, 2}, []byte{1, 1, 2, 3, 2, 2})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		want, have := map[byte]byte{}, table(b)
		for key, values := range table(a) {
			want[key] = values[0]
		}
		set, remove := diff(want, have, cmp.Compare[byte])
		for _, key := range set {
			have[key] = []byte{want[key]}
		}
		for _, key := range remove {
			delete(have, key)
		}
		got := map[byte]byte{}
		for key, values := range have {
			if len(values) != 1 {
				t.Errorf("key %d has %v", key, values)
			}
			got[key] = values[0]
		}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if set, remove = diff(want, have, cmp.Compare[byte]); len(set)+len(remove) > 0 {
			t.Errorf("a second diff: set %v, remove %v", set, remove)
		}
	})
}
