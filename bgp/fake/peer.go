package fake

import (
	"fmt"
	"net/netip"
	"time"

	"fairlead.dev/bgp"
)

// peer is what a test has made of one.
type peer struct {
	up, endOfRIB bool
	since        time.Time
	failure      string
	learned      map[netip.Prefix]learned
}

// learned is a path, with all else equal.
type learned struct {
	nextHop netip.Addr
	stale   bool
}

func newPeer() *peer { return &peer{learned: map[netip.Prefix]learned{}} }

func (p *peer) session(want bgp.Peer, announce []netip.Prefix) bgp.Session {
	s := bgp.Session{Address: want.Address, ASN: want.ASN, State: "Active", Since: p.since, LastError: p.failure}
	for prefix := range p.learned {
		s.Received++
		if want.Accepts(prefix) {
			s.Accepted++
		}
	}
	if !p.up {
		return s
	}
	s.State, s.EndOfRIB = bgp.Established, p.endOfRIB
	for _, prefix := range announce {
		if prefix.Addr().Is4() == want.Address.Is4() {
			s.Advertised++
		}
	}
	return s
}

// play changes a peer, which has to be one of the last Config.
func (s *Speaker) play(address netip.Addr, change func(*peer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.peers[address]
	if !ok {
		panic(fmt.Sprintf("fake speaker: %s is no peer of the Config applied last", address))
	}
	change(p)
	s.changed()
}

// Establish brings the session up.
func (s *Speaker) Establish(address netip.Addr) {
	s.play(address, func(p *peer) { p.up, p.endOfRIB, p.since, p.failure = true, false, time.Now(), "" })
}

// Receive lets the peer send a prefix.
func (s *Speaker) Receive(address netip.Addr, prefix netip.Prefix, nextHop netip.Addr) {
	s.play(address, func(p *peer) { p.learned[prefix] = learned{nextHop: nextHop} })
}

// Withdraw lets the peer take a prefix back.
func (s *Speaker) Withdraw(address netip.Addr, prefix netip.Prefix) {
	s.play(address, func(p *peer) { delete(p.learned, prefix) })
}

// EndOfRIB lets the peer say that it has sent all: what is stale still goes.
func (s *Speaker) EndOfRIB(address netip.Addr) {
	s.play(address, func(p *peer) {
		p.endOfRIB = true
		for prefix, l := range p.learned {
			if l.stale {
				delete(p.learned, prefix)
			}
		}
	})
}

// Restart takes the session down and keeps the peer's routes, as stale ones.
func (s *Speaker) Restart(address netip.Addr) {
	s.play(address, func(p *peer) {
		p.up, p.endOfRIB, p.failure = false, false, "connection lost"
		for prefix, l := range p.learned {
			l.stale = true
			p.learned[prefix] = l
		}
	})
}

// Down takes the session down, and the peer's routes with it.
func (s *Speaker) Down(address netip.Addr, why string) {
	s.play(address, func(p *peer) {
		*p = *newPeer()
		p.failure = why
	})
}
