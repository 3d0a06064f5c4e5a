package bgp

import (
	"fmt"
	"net/netip"
	"strings"
)

// PeerError is what failed of one peer.
type PeerError struct {
	// Act is what was tried, such as "add"; empty if the peer is no usable one.
	Act  string
	Peer netip.Addr
	Err  error
}

func (e *PeerError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s peer %s: %v", e.Act, e.Peer, e.Err))
}

func (e *PeerError) Unwrap() error { return e.Err }

// OnlyPeers says that err, which Apply returned, is nil or about single peers:
// the engine runs as wanted, and announces what is wanted and nothing else.
func OnlyPeers(err error) bool {
	switch e := err.(type) { //nolint:errorlint // one peer's error somewhere in a tree does not speak for the rest of it
	case nil, *PeerError:
		return true
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			if !OnlyPeers(part) {
				return false
			}
		}
		return true
	default:
		return false
	}
}
