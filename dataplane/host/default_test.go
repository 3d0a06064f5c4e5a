package host

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/dataplane/nstest"
)

func TestDefaults(t *testing.T) {
	ns := nstest.New(t, "defaults")
	for i, link := range []string{"eth0", "eth1", "eth2"} {
		ns.Run(t, "ip", "link", "add", link, "type", "veth", "peer", "name", link+"far")
		ns.Run(t, "ip", "link", "set", link, "up")
		ns.Run(t, "ip", "link", "set", link+"far", "up")
		ns.Run(t, "ip", "addr", "add", "10.0."+string(rune('0'+i))+".2/24", "dev", link)
	}
	d := &Defaults{}
	var changes <-chan struct{}
	ns.Do(t, func() {
		var err error
		if changes, err = d.Watch(t.Context()); err != nil {
			t.Error(err)
		}
	})
	// expect polls by notifications alone: without one Links does not look.
	expect := func(ipv4, ipv6 string) {
		t.Helper()
		deadline := time.After(10 * time.Second)
		for {
			var got4, got6 []string
			ns.Do(t, func() {
				var err error
				if got4, got6, err = d.Links(); err != nil {
					t.Error(err)
				}
			})
			if slices.Equal(got4, strings.Fields(ipv4)) && slices.Equal(got6, strings.Fields(ipv6)) {
				return
			}
			select {
			case <-changes:
			case <-deadline:
				t.Fatalf("default by %v and %v, want %s and %s", got4, got6, ipv4, ipv6)
			}
		}
	}
	expect("", "")
	ns.Run(t, "ip", "route", "add", "default", "via", "10.0.0.1", "metric", "200")
	ns.Run(t, "ip", "route", "add", "10.0.0.0/8", "via", "10.0.2.1")
	expect("eth0", "")
	ns.Run(t, "ip", "route", "add", "default", "metric", "100", "nexthop", "via", "10.0.1.1", "nexthop", "via", "10.0.2.1")
	expect("eth1 eth2", "")
	ns.Run(t, "ip", "link", "set", "eth1", "down")
	expect("eth1 eth2", "") // the hop is dead and still there
	ns.Run(t, "ip", "route", "del", "default", "metric", "100")
	expect("eth0", "")
	ns.Run(t, "ip", "-6", "route", "add", "default", "via", "fe80::1", "dev", "eth0")
	ns.Run(t, "ip", "-6", "route", "add", "default", "proto", "170", "metric", "1700", "via", "fe80::1", "dev", "eth2")
	expect("eth0", "eth0")
	ns.Run(t, "ip", "-6", "route", "append", "default", "via", "fe80::2", "dev", "eth2")
	expect("eth0", "eth0 eth2")
	ns.Run(t, "ip", "link", "set", "eth0", "down")
	ns.Run(t, "ip", "link", "set", "eth0", "name", "up0")
	expect("", "eth2 up0")
	ns.Run(t, "ip", "route", "add", "unreachable", "default", "metric", "50")
	ns.Run(t, "ip", "link", "set", "up0", "up")
	ns.Run(t, "ip", "route", "add", "default", "via", "10.0.0.1")
	expect("up0", "eth2 up0")
}
