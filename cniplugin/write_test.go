package cniplugin

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane/link"
)

// What is written by hand is what the library writes.
func TestResultIsTheLibrarys(t *testing.T) {
	four, six := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("fd00::a")
	for _, version := range []string{"1.0.0", "1.1.0"} {
		for _, addrs := range [][]netip.Addr{{four}, {six}, {four, six}} {
			r := request{version: version, netns: `/run/netns/a "name" <&>`}
			s := link.Spec{Host: "flabc", Pod: `e"th0`, MTU: 1400, Addresses: addrs}
			var library, ours bytes.Buffer
			if err := printResult(&library, result(nil, r, s), version); err != nil {
				t.Fatal(err)
			}
			if err := writeResult(&ours, nil, r, s); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(fields(t, library.Bytes()), fields(t, ours.Bytes())); d != "" {
				t.Errorf("%s, %v: -library +ours:\n%s", version, addrs, d)
			}
		}
	}
}

func fields(t *testing.T, data []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}
