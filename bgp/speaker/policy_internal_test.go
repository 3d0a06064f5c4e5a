package speaker

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"

	"fairlead.dev/bgp"
)

var update = flag.Bool("update", false, "write the golden files")

// TestRenderPolicies holds what is in force against a golden file: a peer of
// each family, one with ranges of both, and one from which nothing is accepted; and
// own prefixes of both families.
func TestRenderPolicies(t *testing.T) {
	ranges := []netip.Prefix{
		netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("10.245.1.0/26"),
		netip.MustParsePrefix("fd00:10::/48"),
	}
	req := renderPolicies([]bgp.Peer{
		{Address: netip.MustParseAddr("192.0.2.1"), Accept: ranges},
		{Address: netip.MustParseAddr("192.0.2.2")},
		{Address: netip.MustParseAddr("192.0.2.3"), Accept: ranges[2:]},
		{Address: netip.MustParseAddr("fe80::1%eth0"), Accept: ranges},
	}, []netip.Prefix{netip.MustParsePrefix("10.244.7.0/26"), netip.MustParsePrefix("fd00:10::40/122")})
	packed, err := protojson.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	// protojson varies its white space on purpose.
	var value any
	if err := json.Unmarshal(packed, &value); err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "policies.json")
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)+"\n"); d != "" {
		t.Errorf("-want +got (run with -update to accept):\n%s", d)
	}
}
