package speaker_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead.dev/bgp"
)

// fails awaits a LastError with all of words.
func (p *process) fails(words ...string) {
	p.t.Helper()
	p.await(soon, "LastError has "+strings.Join(words, " and "), func(a answer) bool {
		for _, word := range words {
			if !strings.Contains(a.Sessions[0].LastError, word) {
				return false
			}
		}
		return a.Sessions[0].State != bgp.Established
	})
}

func TestPeerHasAnotherASN(t *testing.T) {
	each(t, func(t *testing.T, w wire, start func(...string) router) {
		start()
		wrong := peer(w.peer4)
		wrong.ASN = 65009
		s := startSpeaker(t, w.node)
		s.apply(config(wrong))
		s.fails("we sent NOTIFICATION", "bad peer as", "expected 65009", "received 4200000001")
		// What is wrong here is right there: the rest is not disturbed.
		s.apply(config(peer(w.peer4)))
		s.established(soon)
	})
}

func TestPeerExpectsAnotherASN(t *testing.T) {
	each(t, func(t *testing.T, w wire, start func(...string) router) {
		start()
		c := config(peer(w.peer4))
		c.Global.ASN = 65102
		s := startSpeaker(t, w.node)
		s.apply(c)
		s.fails("AS 65102")
		// A change of the global settings alone starts everything anew.
		s.apply(config(peer(w.peer4)))
		s.established(soon)
	})
}

func TestPeerUnreachable(t *testing.T) {
	t.Parallel()
	w := newWire(t, nodeNS(t), 1)
	s := startSpeaker(t, w.node)
	nobody := netip.MustParseAddr("10.1.0.99")
	s.apply(config(peer(nobody)))
	s.fails("10.1.0.99:179")
	p := peer(netip.MustParseAddr("198.51.100.1"))
	s.apply(config(p))
	s.fails("198.51.100.1:179", "network is unreachable")
	p = peer(w.peer4)
	s.apply(config(p))
	s.fails("10.1.0.2:179", "refused")
	p.Passive = true
	s.apply(config(p))
	s.fails("the peer has not connected")
	p.Passive, p.Port = false, 1179
	s.apply(config(p))
	s.fails("10.1.0.2:1179", "refused")
	startBIRD(t, w.peer, strings.ReplaceAll(birdConfig(w, peerASN), "local as", "local port 1179 as"))
	s.established(soon)
}

func TestPeerDoesNotKnowUs(t *testing.T) {
	each(t, func(t *testing.T, w wire, start func(...string) router) {
		start()
		run(t, "ip", "-n", w.node.Name, "address", "del", w.node4.String()+"/24", "dev", w.nodeIf)
		run(t, "ip", "-n", w.node.Name, "address", "add", "10.1.0.77/24", "dev", w.nodeIf)
		s := startSpeaker(t, w.node)
		s.apply(config(peer(w.peer4)))
		s.fails("peer", "OPEN", "AS 65101")
	})
}
