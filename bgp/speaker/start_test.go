package speaker_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"fairlead.dev/bgp"
	"fairlead.dev/bgp/speaker"
)

func TestOneForAProcess(t *testing.T) {
	t.Parallel()
	s := startSpeaker(t, nodeNS(t))
	if a := s.tell(order{Again: true}); a.Err != speaker.ErrSecond.Error() {
		t.Errorf("a second New says %q", a.Err)
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	w := newWire(t, nodeNS(t), 1)
	startBIRD(t, w.peer, birdConfig(w, peerASN))
	var taken net.Listener
	w.node.Do(t, func() {
		var err error
		if taken, err = net.Listen("tcp6", "[::]:179"); err != nil {
			t.Error(err)
		}
	})
	s := startSpeaker(t, w.node)
	c := config(peer(w.peer4))
	for i := range 3 {
		a := s.tell(order{Apply: &c})
		if a.Changed != (i == 0) {
			t.Errorf("attempt %d: change signalled is %v: the same failure again must not call for the next", i, a.Changed)
		}
		if !strings.Contains(a.Err, "port 179") || !strings.Contains(a.Err, "in use") {
			t.Errorf("error is %q", a.Err)
		}
		if len(a.Sessions) != 1 || !strings.Contains(a.Sessions[0].LastError, "in use") {
			t.Errorf("sessions are %+v", a.Sessions)
		}
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, soon, "the port is free for the next Apply", func() (bool, string) {
		a := s.tell(order{Apply: &c})
		return a.Err == "", a.Err
	})
	s.established(soon)
}

// A port that is taken costs no session, and no change that does not need it.
func TestNewPortTaken(t *testing.T) {
	t.Parallel()
	w := newWire(t, nodeNS(t), 1)
	startBIRD(t, w.peer, birdConfig(w, peerASN))
	s := startSpeaker(t, w.node)
	c := config(peer(w.peer4))
	s.apply(c)
	s.established(soon)
	before := s.tell(order{}).Sessions[0].Since
	var taken net.Listener
	w.node.Do(t, func() {
		var err error
		if taken, err = net.Listen("tcp4", "0.0.0.0:1790"); err != nil {
			t.Error(err)
		}
	})
	c.Global.ListenPort = 1790
	c.Announce = prefixes(ours4, gone4)
	for range 2 {
		a := s.tell(order{Apply: &c})
		if !strings.Contains(a.Err, "port 1790") || !strings.Contains(a.Err, "in use") {
			t.Errorf("error is %q", a.Err)
		}
	}
	kernelHas(t, w.peer, gone4)
	if now := s.tell(order{}).Sessions[0]; now.State != bgp.Established || !now.Since.Equal(before) {
		t.Errorf("session was reset: %+v", now)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	// A process that another test starts has the port until its exec.
	eventually(t, soon, "the port is taken", func() (bool, string) {
		err := s.tell(order{Apply: &c}).Err
		return err == "", err
	})
	s.established(soon)
}

func TestOwnRace(t *testing.T) {
	const report = "WARNING: DATA RACE\nRead at 0x00c0 by main goroutine:\n  %s()\n      /path.go:400 +0x3c4\n" +
		"Previous write at 0x00c0 by goroutine 9:\n  %s()\n      /adj.go:196 +0x625\n"
	theirs, ours := "github.com/osrg/gobgp/v3/pkg/server.toPathAPI", "fairlead.dev/bgp/speaker.(*Speaker).Routes"
	for _, sides := range [][2]string{{ours, theirs}, {theirs, ours}} {
		if ownRace.FindString(fmt.Sprintf(report, sides[0], sides[1])) == "" {
			t.Errorf("no race found between %v", sides)
		}
	}
	if race := ownRace.FindString(fmt.Sprintf(report, theirs, theirs)); race != "" {
		t.Errorf("found %s", race)
	}
}
