package speaker_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead.dev/bgp"
)

const secret = "correct horse battery staple"

// passwords makes a router use a password in both sessions.
func passwords(r string, w wire, passive bool) []string {
	if r == "BIRD" {
		lines := []string{`password "` + secret + `";`}
		if passive {
			lines = append(lines, "passive on;")
		}
		return lines
	}
	var lines []string
	for _, a := range []netip.Addr{w.node4, w.node6} {
		lines = append(lines, "neighbor "+a.String()+" password "+strings.ReplaceAll(secret, " ", ""))
		if passive {
			lines = append(lines, "neighbor "+a.String()+" passive")
		}
	}
	return lines
}

// password is the same for us; FRR takes none with a space.
func password(r string) string {
	if r == "BIRD" {
		return secret
	}
	return strings.ReplaceAll(secret, " ", "")
}

func withPassword(p bgp.Peer, password string, passive bool) bgp.Peer {
	p.Password, p.Passive = password, passive
	return p
}

func TestMD5(t *testing.T) {
	t.Parallel()
	for name, start := range routers {
		for dials, passive := range map[string]bool{"we dial": false, "the router dials": true} {
			t.Run(name+", "+dials, func(t *testing.T) {
				t.Parallel()
				w := newWire(t, nodeNS(t), 1)
				start(t, w, passwords(name, w, !passive)...)
				s := startSpeaker(t, w.node)
				s.apply(config(
					withPassword(peer(w.peer4), password(name), passive),
					withPassword(peer(w.peer6), password(name), passive)))
				s.established(soon)
				if log := s.log.String(); strings.Contains(log, password(name)) {
					t.Errorf("the log tells the password:\n%s", log)
				}
			})
		}
	}
}

func TestWrongPassword(t *testing.T) {
	each(t, func(t *testing.T, w wire, start func(...string) router) {
		start(passwords(kind(t), w, true)...)
		s := startSpeaker(t, w.node)
		s.apply(config(withPassword(peer(w.peer4), "wrong", false), peer(w.peer6)))
		a := s.await(soon, "both sessions say what may be wrong", func(a answer) bool {
			return strings.Contains(a.Sessions[0].LastError, "MD5 password is another") &&
				strings.Contains(a.Sessions[1].LastError, "wants an MD5 password")
		})
		for _, session := range a.Sessions {
			if session.State == bgp.Established || !session.Since.IsZero() {
				t.Errorf("session is %+v", session)
			}
			if strings.Contains(session.LastError, "wrong") {
				t.Errorf("LastError tells the password: %s", session.LastError)
			}
		}
		// A change of the password is enough.
		s.apply(config(withPassword(peer(w.peer4), password(kind(t)), false), withPassword(peer(w.peer6), password(kind(t)), false)))
		s.established(soon)
	})
}

// TestPasswordTakenAway has the router dial, since it is the listener that may
// keep the key of a peer that is gone.
func TestPasswordTakenAway(t *testing.T) {
	for _, way := range []string{"changed", "removed and added again"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, nodeNS(t), 1)
			s := startSpeaker(t, w.node)
			s.apply(config(withPassword(peer(w.peer4), secret, true)))
			if way != "changed" {
				s.apply(config())
			}
			plain := peer(w.peer4)
			plain.Passive = true
			s.apply(config(plain))
			startBIRD(t, w.peer, birdConfig(w, peerASN))
			s.established(soon)
		})
	}
}
