package speaker

import (
	"context"
	"net/netip"
	"slices"

	api "github.com/osrg/gobgp/v3/api"

	"fairlead.dev/bgp"
)

// idle is the state of a session that the engine does not even try.
const idle = "Idle"

// Sessions are the peers of the last applied Config, sorted by address, also
// those that the engine refused (Idle, with the reason as LastError).
func (s *Speaker) Sessions() []bgp.Session {
	ctx := context.Background()
	if s.enter(ctx) != nil {
		return nil
	}
	defer s.leave()
	var out []bgp.Session
	for a, r := range s.refused {
		out = append(out, bgp.Session{Address: a, ASN: r.peer.ASN, State: idle, LastError: r.err.Error()})
	}
	if s.engine != nil {
		out = append(out, s.engine.sessions(ctx)...)
	}
	slices.SortFunc(out, func(a, b bgp.Session) int { return a.Address.Compare(b.Address) })
	return out
}

func (e *engine) sessions(ctx context.Context) []bgp.Session {
	there := map[string]*api.Peer{}
	_ = e.server.ListPeer(ctx, &api.ListPeerRequest{}, func(p *api.Peer) { there[p.Conf.NeighborAddress] = p })
	accepted := e.accepted(ctx)
	var out []bgp.Session
	for _, p := range e.have.Peers {
		session := bgp.Session{Address: p.Address, ASN: p.ASN, State: idle, Accepted: accepted[p.Address.WithZone("").String()]}
		if in, ok := there[p.Address.String()]; ok {
			e.fill(&session, in)
		}
		if p.Passive && session.State != bgp.Established && session.LastError == "" {
			session.LastError = "the peer has not connected to us, and this side is passive"
		}
		out = append(out, session)
	}
	return out
}

func (e *engine) fill(s *bgp.Session, in *api.Peer) {
	known := e.journal.entry(s.Address)
	s.State = stateName(in.State.SessionState)
	s.Since = known.since
	s.LastError = known.failure
	for _, f := range in.AfiSafis {
		s.Received += int64(f.State.Received)
	}
	if s.State != bgp.Established {
		return
	}
	s.EndOfRIB = known.endOfRIB
	// The export policy lets out our own prefixes, all of them, and as long as
	// the restart lasts none.
	if !in.GracefulRestart.LocalRestarting {
		s.Advertised = e.originated(s.Address)
	}
}

func (e *engine) originated(peer netip.Addr) int64 {
	var n int64
	for _, p := range e.have.Announce {
		if p.Addr().Is4() == peer.Is4() {
			n++
		}
	}
	return n
}

// stateName is a state in the words of RFC 4271 section 8.2.2.
func stateName(s api.PeerState_SessionState) string {
	switch s {
	case api.PeerState_CONNECT:
		return "Connect"
	case api.PeerState_ACTIVE:
		return "Active"
	case api.PeerState_OPENSENT:
		return "OpenSent"
	case api.PeerState_OPENCONFIRM:
		return "OpenConfirm"
	case api.PeerState_ESTABLISHED:
		return bgp.Established
	default:
		return idle
	}
}
