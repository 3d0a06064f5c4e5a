package bgp_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"fairlead.dev/bgp"
)

func TestOnlyPeers(t *testing.T) {
	peer := &bgp.PeerError{Act: "add", Peer: netip.MustParseAddr("192.0.2.1"), Err: errors.New("no key")}
	other := errors.New("withdraw 10.244.0.0/26: engine is stuck")
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"no error", nil, true},
		{"a peer", peer, true},
		{"peers, deep", errors.Join(peer, errors.Join(peer, nil)), true},
		{"another", other, false},
		{"a peer and another", errors.Join(peer, errors.Join(peer, other)), false},
		{"another because of a peer", fmt.Errorf("withdraw: %w", peer), false},
	} {
		if got := bgp.OnlyPeers(tt.err); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if text := "add peer 192.0.2.1: no key"; peer.Error() != text {
		t.Errorf("error is %q, want %q", peer, text)
	}
	// What Sift refuses of one peer concerns no other.
	c := bgp.Config{
		Global: bgp.Global{ASN: 1, RouterID: netip.MustParseAddr("192.0.2.9"), ListenPort: -1},
		Peers:  []bgp.Peer{{Address: netip.MustParseAddr("192.0.2.1"), ASN: 0}, {Address: netip.MustParseAddr("192.0.2.2"), ASN: 2}},
	}
	out, err := bgp.Sift(c)
	if err == nil || !bgp.OnlyPeers(err) || len(out.Peers) != 1 {
		t.Errorf("Sift: %v, peers %v", err, out.Peers)
	}
}
