package host

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nl"
	"fairlead.dev/dataplane/nstest"
)

// watched starts Watch inside ns, and ends it with the test.
func watched(t *testing.T, ns nstest.NS) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var ch <-chan struct{}
	ns.Do(t, func() {
		var err error
		if ch, err = Watch(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		for range ch { // closed when its goroutine has ended
		}
	})
	return ch
}

func notice(t *testing.T, ch <-chan struct{}, of string) {
	t.Helper()
	select {
	case _, open := <-ch:
		if !open {
			t.Fatalf("the watch ended at %s", of)
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("no notice of %s", of)
	}
}

// Each way in which a link can come to have the kernel's default sysctls is told.
func TestWatch(t *testing.T) {
	for what, steps := range map[string][][]string{
		"a new link":       {nil, {"link", "add", "eth1", "type", "veth", "peer", "name", "far1"}},
		"a link set up":    {{"link", "set", "eth0", "down"}, {"link", "set", "eth0", "up"}},
		"a renamed link":   {{"link", "set", "eth0", "down"}, {"link", "set", "eth0", "name", "uplink"}},
		"another MTU":      {{"link", "set", "eth0", "up"}, {"link", "set", "eth0", "mtu", "1400"}},
		"a link come back": {{"link", "del", "eth0"}, {"link", "add", "eth0", "type", "veth", "peer", "name", "far0"}},
	} {
		t.Run(what, func(t *testing.T) {
			ns := nstest.New(t, "host")
			ns.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0")
			ns.Run(t, "ip", "link", "set", "eth0", "up")
			ch := watched(t, ns)
			if steps[0] != nil {
				ns.Run(t, "ip", steps[0]...)
			}
			ns.Run(t, "ip", steps[1]...)
			notice(t, ch, what)
		})
	}
}

// What happens all the time is no news: pods that come and go, a carrier that is
// lost and found, addresses. It is asked about each event that the kernel sends.
func TestWatchIsQuiet(t *testing.T) {
	ns := nstest.New(t, "host")
	ns.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "flaaaaaaaaaaaab")
	ns.Run(t, "ip", "link", "set", "eth0", "up")
	var m *nl.Monitor
	ns.Do(t, func() {
		var err error
		if m, err = nl.Subscribe(unix.RTNLGRP_LINK); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, args := range [][]string{
		{"link", "set", "eth0", "mtu", "1400"}, // known from here on
		{"link", "set", "flaaaaaaaaaaaab", "up"},
		{"link", "set", "flaaaaaaaaaaaab", "down"},
		{"addr", "add", "10.2.0.9/24", "dev", "eth0"},
		{"link", "add", "flaaaaaaaaaaaaa", "type", "veth", "peer", "name", "flaaaaaaaaaaaac"},
		{"link", "del", "flaaaaaaaaaaaaa"},
		{"link", "set", "eth0", "mtu", "1300"}, // the last
	} {
		ns.Run(t, "ip", args...)
	}
	seen, events, last := sightings{}, 0, uint32(0)
	var news []string
	for last != 1300 {
		err := m.Receive(ctx, func(e nl.Event) {
			d, err := nl.ParseDevice(e.Body)
			if err != nil {
				t.Error(err)
			}
			if events++; seen.isNew(e) {
				news = append(news, d.Name)
			}
			if d.Name == "eth0" {
				last = d.MTU
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"eth0", "eth0"}, news); diff != "" || events < 8 {
		t.Errorf("news among %d events (-want +got):\n%s", events, diff)
	}
}

// An uplink that is plugged in while the node runs keeps listening to router
// advertisements, by what the watch is there for.
func TestNewUplinkIsPrepared(t *testing.T) {
	ns := nstest.New(t, "host")
	file := t.TempDir() + "/sysctl.json"
	prepare := func() {
		ns.Do(t, func() {
			if err := Prepare(procSys, file); err != nil {
				t.Error(err)
			}
		})
	}
	prepare()
	ch := watched(t, ns)
	ns.Run(t, "ip", "link", "add", "late0", "type", "veth", "peer", "name", "far0")
	notice(t, ch, "the new uplink")
	prepare()
	ns.Run(t, "ip", "link", "set", "late0", "up")
	notice(t, ch, "the uplink that was set up")
	if got := ns.Run(t, "sysctl", "-n", "net.ipv6.conf.late0.accept_ra"); got != "2\n" {
		t.Errorf("accept_ra of the late uplink is %q", got)
	}
	// An MTU that IPv6 cannot do with takes its settings away, and one that it can
	// brings them back as the kernel's.
	ns.Run(t, "ip", "link", "set", "late0", "mtu", "1000")
	ns.Run(t, "ip", "link", "set", "late0", "mtu", "1500")
	poll(t, "accept_ra=2 after the MTU", func() bool {
		notice(t, ch, "the MTU")
		prepare()
		return ns.Run(t, "sysctl", "-n", "net.ipv6.conf.late0.accept_ra") == "2\n"
	})
}
