package speaker_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead.dev/bgp"
	"fairlead.dev/dataplane/nstest"
)

// monitor records the changes of a namespace's kernel routes.
func monitor(t *testing.T, ns nstest.NS) *buffer {
	t.Helper()
	log := &buffer{}
	watch(t, ns, log, "ip", "monitor", "route")
	const probe = "203.0.113.77"
	eventually(t, soon, "the route monitor works", func() (bool, string) {
		ns.Run(t, "ip", "route", "replace", "blackhole", probe)
		ns.Run(t, "ip", "route", "del", "blackhole", probe)
		return strings.Contains(log.String(), "Deleted blackhole "+probe), log.String()
	})
	return log
}

// gone is what the announcer of before the restart alone had.
const gone4, gone6 = "10.65.9.0/26", "fd65::900/122"

// TestKillAndRestart is what graceful restart is for: no peer's kernel may lose
// a route when the speaker is killed and another takes over. All peers at once,
// since what one says must not spoil the restart for the next.
func TestKillAndRestart(t *testing.T) {
	node, after, routes := killed(t)
	second := startSpeaker(t, node)
	second.apply(after)
	second.established(soon)
	drop(t, routes, gone4, gone6)
	keeps(t, routes, ours4, ours6)
}

// killed is a node whose speaker was killed with sessions to an FRR and a BIRD, whose
// kernels had its routes; what the next one is told, which announces ours4 and ours6
// alone; and what is heard of each peer's kernel since before the kill.
func killed(t *testing.T) (node nstest.NS, next bgp.Config, routes map[string]*buffer) {
	t.Helper()
	node = nodeNS(t)
	f, b := newWire(t, node, 1), newWire(t, node, 2)
	startFRR(t, f.peer, frrConfig(f, peerASN))
	startBIRD(t, b.peer, birdConfig(b, peerASN))
	before := config(peer(f.peer4), peer(f.peer6), peer(b.peer4), peer(b.peer6))
	before.Announce = prefixes(ours4, ours6, gone4, gone6)
	first := startSpeaker(t, node)
	first.apply(before)
	first.established(soon)
	for _, w := range []wire{f, b} {
		for _, p := range before.Announce {
			kernelHas(t, w.peer, p.String())
		}
	}
	routes = map[string]*buffer{"FRR": monitor(t, f.peer), "BIRD": monitor(t, b.peer)}
	first.kill()
	next = config(before.Peers...)
	next.Global.Restarting = true
	return node, next, routes
}

// drop waits until each peer's kernel has lost what was not announced again. That goes
// with our End-of-RIB, in every session: the restart is over, and what has not been
// deleted never will be.
func drop(t *testing.T, routes map[string]*buffer, prefixes ...string) {
	t.Helper()
	for name, log := range routes {
		for _, p := range prefixes {
			eventually(t, soon, name+" drops "+p, func() (bool, string) {
				seen := log.String()
				return strings.Contains(seen, "Deleted "+p), seen
			})
		}
	}
}

// keeps fails the test if a peer's kernel has lost a route.
func keeps(t *testing.T, routes map[string]*buffer, prefixes ...string) {
	t.Helper()
	for name, log := range routes {
		for _, p := range prefixes {
			if seen := log.String(); strings.Contains(seen, "Deleted "+p) {
				t.Errorf("%s deleted %s from its kernel:\n%s", name, p, seen)
			}
		}
	}
}

// TestKillWithoutSuccessor ends with the restart time.
func TestKillWithoutSuccessor(t *testing.T) {
	each(t, func(t *testing.T, w wire, start func(...string) router) {
		start()
		const restartTime = 4 * time.Second
		c := config(peer(w.peer4))
		c.Global.RestartTime = restartTime
		s := startSpeaker(t, w.node)
		s.apply(c)
		kernelHas(t, w.peer, ours4)
		killed := time.Now()
		s.kill()
		kernelLoses(t, w.peer, ours4)
		if kept := time.Since(killed); kept < restartTime-time.Second {
			t.Errorf("the peer kept the route for %s, less than the restart time %s", kept, restartTime)
		}
	})
}

// TestLeave ends at once, well before the restart time of config.
func TestLeave(t *testing.T) {
	each(t, func(t *testing.T, w wire, start func(...string) router) {
		start()
		s := startSpeaker(t, w.node)
		s.apply(config(peer(w.peer4)))
		kernelHas(t, w.peer, ours4)
		s.tell(order{Leave: true})
		left := time.Now()
		kernelLoses(t, w.peer, ours4)
		if took := time.Since(left); took > 10*time.Second {
			t.Errorf("the peer kept the route for %s", took)
		}
		// There is a way back.
		s.apply(config(peer(w.peer4)))
		kernelHas(t, w.peer, ours4)
	})
}

func kernelHas(t *testing.T, ns nstest.NS, prefix string) {
	t.Helper()
	eventually(t, soon, "kernel has "+prefix, func() (bool, string) {
		seen := kernelRoute(t, ns, prefix)
		return seen != "", seen
	})
}

func kernelLoses(t *testing.T, ns nstest.NS, prefix string) {
	t.Helper()
	eventually(t, later, "kernel loses "+prefix, func() (bool, string) {
		seen := kernelRoute(t, ns, prefix)
		return seen == "", seen
	})
}

func kernelRoute(t *testing.T, ns nstest.NS, prefix string) string {
	t.Helper()
	family := "-4"
	if netip.MustParsePrefix(prefix).Addr().Is6() {
		family = "-6"
	}
	return strings.TrimSpace(ns.Run(t, "ip", family, "route", "show", prefix))
}

// TestPeerRestarts has the peer killed, and started again or not.
func TestPeerRestarts(t *testing.T) {
	const restartTime = 6
	graceful := map[string]string{
		"FRR":  fmt.Sprintf("bgp graceful-restart\n bgp graceful-restart restart-time %d", restartTime),
		"BIRD": fmt.Sprintf("graceful restart on; graceful restart time %d;", restartTime),
	}
	each(t, func(t *testing.T, w wire, start func(...string) router) {
		r := start(graceful[kind(t)])
		s := startSpeaker(t, w.node)
		s.apply(config(peer(w.peer4)))
		up := func(a answer) bool {
			return len(a.Routes) == 1 && !a.Routes[0].Stale && a.Sessions[0].EndOfRIB
		}
		s.await(soon, "a fresh route", up)

		r.stop()
		killed := time.Now()
		a := s.await(soon, "a stale route", func(a answer) bool { return a.Sessions[0].State != bgp.Established })
		if len(a.Routes) != 1 || !a.Routes[0].Stale || a.Sessions[0].EndOfRIB {
			t.Errorf("while the peer restarts: %+v", a)
		}
		if !strings.Contains(a.Sessions[0].LastError, "connection lost") {
			t.Errorf("LastError is %q", a.Sessions[0].LastError)
		}
		s.await(soon, "no route", func(a answer) bool { return len(a.Routes) == 0 })
		if kept := time.Since(killed); kept < (restartTime-1)*time.Second {
			t.Errorf("the route was kept for %s, less than the restart time", kept)
		}

		r.(interface{ start() }).start()
		s.await(soon, "a fresh route again", up)
		r.stop()
		s.await(soon, "a stale route again", func(a answer) bool { return len(a.Routes) == 1 && a.Routes[0].Stale })
		r.(interface{ start() }).start()
		s.await(later, "a fresh route in time", up)
	})
}
