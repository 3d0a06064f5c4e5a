package route

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nl"
	"fairlead.dev/dataplane/routetest"
)

// watch starts Watch inside the node, ends it with the test, and waits for it.
func (n *node) watch() <-chan struct{} {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var ch <-chan struct{}
	n.Do(n.t, func() {
		var err error
		if ch, err = n.table.Watch(ctx); err != nil {
			n.t.Error(err)
		}
	})
	n.t.Cleanup(func() {
		cancel()
		for range ch { // closed when its goroutine has ended
		}
	})
	return ch
}

func (n *node) wantNotice(ch <-chan struct{}, of string) {
	n.t.Helper()
	select {
	case _, ok := <-ch:
		if !ok {
			n.t.Fatalf("the watch ended at %s", of)
		}
	case <-time.After(5 * time.Second):
		n.t.Fatalf("no notice of %s", of)
	}
}

func TestWatchSees(t *testing.T) {
	for what, steps := range map[string][2][]string{
		"deletion of an IPv4 route of ours": {
			{"route", "add", "10.244.1.0/26", "via", "10.2.0.11", "proto", "170", "metric", "1700"},
			{"route", "del", "10.244.1.0/26"},
		},
		"deletion of an IPv6 route of ours": {
			{"route", "add", "fd00:1::/122", "via", "2001:db8:2::11", "proto", "170", "metric", "1700"},
			{"route", "del", "fd00:1::/122"},
		},
		"a link going down":  {{"link", "set", "eth0", "up"}, {"link", "set", "eth0", "down"}},
		"a link coming up":   {{"link", "set", "eth0", "down"}, {"link", "set", "eth0", "up"}},
		"a lost carrier":     {{"link", "set", "eth0", "up"}, {"link", "set", "peereth0", "down"}},
		"a new address":      {{"link", "set", "eth0", "up"}, {"addr", "add", "10.4.0.1/24", "dev", "eth0"}},
		"an address removed": {{"link", "set", "eth0", "up"}, {"addr", "del", "2001:db8:2::1/64", "dev", "eth0"}},
	} {
		t.Run(what, func(t *testing.T) {
			n := newNode(t)
			n.ip(steps[0]...)
			ch := n.watch()
			n.ip(steps[1]...)
			n.wantNotice(ch, what)
		})
	}
}

// The filter is asked about every event that the kernel really sends for a
// step. Only those of the step's own subject count: links that get ready have
// events of their own.
func TestFilter(t *testing.T) {
	n := newNode(t)
	n.ip("link", "add", "flabcdefghijklm", "type", "veth", "peer", "name", "flabcdefghijkln")
	n.ip("route", "add", "10.244.6.0/26", "via", "10.2.0.11", "proto", "170", "metric", "1700")
	n.ip("route", "add", "fd00:6::/122", "via", "2001:db8:2::11", "proto", "170", "metric", "1700")
	for _, test := range []struct {
		what    string
		step    func()
		subject func(nl.Event) bool
		want    bool
	}{
		{"an IPv4 route of ours replaced by a foreign one", func() {
			n.ip("route", "replace", "10.244.6.0/26", "via", "10.2.0.12", "proto", "static", "metric", "1700")
		}, ofRoute, true},
		{"an IPv6 route of ours replaced by a foreign one", func() {
			n.ip("route", "replace", "fd00:6::/122", "via", "2001:db8:2::12", "proto", "static", "metric", "1700")
		}, ofRoute, true},
		{"a route in our name", func() { n.ip("route", "add", "blackhole", "10.244.5.0/26", "proto", "170", "metric", "9") }, ofRoute, true},
		{"a route in our name, deleted", func() { n.ip("route", "del", "10.244.5.0/26", "proto", "170") }, ofRoute, true},
		{"a link", func() { n.ip("link", "set", "peereth1", "alias", "uplink") }, ofLink("peereth1"), true},
		{"a foreign route in the way of a wanted one", func() {
			n.install(routetest.Blackhole("10.244.8.0/26"))
			n.ip("route", "add", "blackhole", "10.244.8.0/26", "proto", "static", "metric", "10")
		}, ofRoute, true},
		{"its end", func() { n.ip("route", "del", "blackhole", "10.244.8.0/26", "proto", "static", "metric", "10") }, ofRoute, true},
		{"the end of one in an unwanted one's way", func() {
			n.ip("route", "add", "blackhole", "10.244.8.0/26", "proto", "static", "metric", "10")
			n.install()
			n.ip("route", "del", "blackhole", "10.244.8.0/26", "proto", "static", "metric", "10")
		}, ofRoute, false},
		{"foreign routes", func() {
			n.ip("route", "add", "10.244.7.0/26", "via", "10.2.0.11", "proto", "static")
			n.ip("route", "add", "10.244.7.0/26", "via", "10.2.0.11", "proto", "170", "table", "77")
			n.ip("route", "add", "fd00:7::/64", "via", "2001:db8:2::11", "proto", "bird")
			n.ip("route", "add", "10.244.7.9/32", "dev", "eth0", "proto", "171")
		}, ofRoute, false},
		{"a pod's start and end", func() {
			n.ip("link", "set", "flabcdefghijklm", "up")
			n.ip("addr", "add", "fe80::1/64", "dev", "flabcdefghijklm", "nodad")
			n.ip("link", "del", "flabcdefghijklm")
		}, ofLink("flabcdefghijklm"), false},
	} {
		f := n.table.filter()
		var seen int
		var matters bool
		for _, e := range n.record(test.step) {
			if test.subject(e) {
				seen++
				matters = f.matters(e) || matters
			}
		}
		if seen == 0 || matters != test.want {
			t.Errorf("%s: %d events, matters: %v, want %v", test.what, seen, matters, test.want)
		}
	}
}

func ofRoute(e nl.Event) bool { return e.Type == unix.RTM_NEWROUTE || e.Type == unix.RTM_DELROUTE }

// ofLink learns the index of the link by its first event.
func ofLink(name string) func(nl.Event) bool {
	var index uint32
	return func(e nl.Event) bool {
		switch e.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			l, err := nl.ParseLink(e.Body)
			if err != nil || l.Name != name {
				return false
			}
			index = l.Index
			return true
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			a, _, err := nl.ParseAddress(e.Body)
			return err == nil && a.Link == index
		}
		return false
	}
}

// subscribe is what Watch does, inside the node.
func (n *node) subscribe(groups []uint) (m *nl.Monitor) {
	n.t.Helper()
	n.Do(n.t, func() {
		var err error
		if m, err = n.table.subscribe(groups...); err != nil {
			n.t.Error(err)
		}
	})
	n.t.Cleanup(m.Close)
	return m
}

// record returns what the kernel tells while f runs, up to an address that is
// added as a mark.
func (n *node) record(f func()) []nl.Event {
	n.t.Helper()
	m := n.subscribe(watchGroups())
	f()
	n.ip("addr", "add", "10.99.0.1/32", "dev", "lo")
	defer n.ip("addr", "del", "10.99.0.1/32", "dev", "lo")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var events []nl.Event
	for marked := false; !marked; {
		err := m.Receive(ctx, func(e nl.Event) {
			if e.Type == unix.RTM_NEWADDR {
				a, _, err := nl.ParseAddress(e.Body)
				marked = marked || err == nil && a.Prefix.String() == "10.99.0.1/32"
			}
			if !marked {
				e.Body = append([]byte(nil), e.Body...)
				events = append(events, e)
			}
		})
		if err != nil {
			n.t.Fatalf("recording events: %v", err)
		}
	}
	if len(events) == 0 {
		n.t.Fatal("no event was recorded")
	}
	return events
}

// What the Table does itself is not told.
func TestOwnChangesAreNotTold(t *testing.T) {
	n := newNode(t)
	for _, e := range n.record(func() {
		n.install(routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Via("fd00:1::/122", "2001:db8:2::11", "2001:db8:3::11"), routetest.Blackhole("fd00:2::/122"))
		n.install(routetest.Via("10.244.1.0/26", "10.2.0.12"), routetest.Via("fd00:1::/122", "2001:db8:2::11"))
		n.install()
		n.ip("route", "add", "blackhole", "10.244.5.0/26", "proto", "170")
	}) {
		if r, _, err := nl.ParseRoute(e.Body); ofRoute(e) && (err != nil || r.Protocol == 170 && r.Prefix.String() != "10.244.5.0/26") {
			t.Errorf("told of %s, %v", r.Prefix, err)
		}
	}
}

// More notifications than the socket has room for: the loss itself is noticed,
// and so is what comes after it.
func TestWatchOutlivesAnOverrun(t *testing.T) {
	n := newNode(t)
	var m *nl.Monitor
	n.Do(t, func() {
		var err error
		if m, err = nl.Subscribe(watchGroups()...); err != nil {
			t.Error(err)
		}
	})
	defer m.Close()
	batch := filepath.Join(t.TempDir(), "batch")
	f, err := os.Create(batch)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20000 { // of another protocol: none of them matters by itself
		fmt.Fprintf(f, "route add blackhole 10.%d.%d.0/24 proto static\n", 100+i/250, i%250)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	n.ip("-batch", batch)
	ctx, cancel := context.WithCancel(context.Background())
	ch := m.Notices(ctx, n.table.filter().hears)
	n.wantNotice(ch, "the overrun")
	n.ip("link", "set", "eth0", "down")
	n.wantNotice(ch, "a link after the overrun")
	cancel()
	for range ch { // until it is closed
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	n := newNode(t)
	ctx, cancel := context.WithCancel(context.Background())
	var ch <-chan struct{}
	n.Do(t, func() { ch, _ = n.table.Watch(ctx) })
	n.ip("link", "set", "eth0", "down") // a notice nobody takes does not hold it up
	cancel()
	timeout := time.After(5 * time.Second)
	for {
		select {
		case _, ok := <-ch:
			if !ok {
				return
			}
		case <-timeout:
			t.Fatal("the channel is open 5 s after the end of its context")
		}
	}
}

// A link that goes down takes IPv4 routes with it and says nothing of them.
func TestRoutesComeBackWithTheirLink(t *testing.T) {
	n := newNode(t)
	single4, single6 := routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Via("fd00:1::/122", "2001:db8:2::11")
	ecmp4, ecmp6 := routetest.Via("10.244.2.0/26", "10.2.0.11", "10.3.0.11"), routetest.Via("fd00:2::/122", "2001:db8:2::11", "2001:db8:3::11")
	n.install(single4, ecmp4, single6, ecmp6)
	ch := n.watch()
	n.ip("link", "set", "eth0", "down")
	n.wantNotice(ch, "the link going down")
	res := n.apply(true, single4, ecmp4, single6, ecmp6)
	if res.Failed[single4.Prefix] == nil || res.Failed[single6.Prefix] == nil {
		t.Errorf("failed while the link is down: %v, want both single routes", res.Failed)
	}
	n.ip("link", "set", "eth0", "up")
	n.ip("addr", "replace", "2001:db8:2::1/64", "dev", "eth0", "nodad") // IPv6 addresses go with the link
	n.wantNotice(ch, "the link coming up")
	n.install(single4, ecmp4, single6, ecmp6)
	for _, prefix := range []string{"10.244.1.9", "fd00:1::9"} {
		if got := n.ip("route", "get", prefix); !strings.Contains(got, "dev eth0") {
			t.Errorf("packets to %s take %q", prefix, got)
		}
	}
}
