package speaker

import (
	"context"
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v3/api"
)

// Bits of the Graceful Restart capability (RFC 4724 section 3).
const (
	restartState = 0x8
	// forwardingState is a family's.
	forwardingState = 0x80
)

// opened is what the OPEN of a session said.
type opened struct {
	since  time.Time
	forgot bool
}

// forgot says that what is kept of a peer's session before is void at once, since the
// OPEN of this one says that the peer has restarted and does not forward as it did, or
// nothing of graceful restart at all (RFC 4724 section 4.2). The engine keeps it until
// End-of-RIB, which need not ever come. It is asked once a session.
//
// A peer that has not restarted, but lost a connection, has no reason to have stopped
// forwarding, and many do not set the bit then: GoBGP itself does not. Its routes are kept
// until End-of-RIB.
func (e *engine) forgot(ctx context.Context, a netip.Addr, known entry) bool {
	if !known.again {
		return false // there is nothing of before
	}
	if o := e.opened[a]; o.since.Equal(known.since) {
		return o.forgot
	}
	o, found := opened{since: known.since}, false
	err := e.server.ListPeer(ctx, &api.ListPeerRequest{Address: a.String()}, func(p *api.Peer) {
		found, o.forgot = true, !preserved(p, a)
	})
	if err != nil || !found {
		return false // nothing is void for want of an answer
	}
	e.opened[a] = o
	return o.forgot
}

// preserved says that nothing in the OPEN of a peer voids what it sent before.
func preserved(p *api.Peer, a netip.Addr) bool {
	for _, packed := range p.State.RemoteCap {
		var c api.GracefulRestartCapability
		if packed.UnmarshalTo(&c) != nil {
			continue
		}
		for _, t := range c.Tuples {
			if t.Family.Afi == family(a).Afi && t.Family.Safi == family(a).Safi {
				return c.Flags&restartState == 0 || t.Flags&forwardingState != 0
			}
		}
	}
	return false
}
