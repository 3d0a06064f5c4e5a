package filter_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestTranslate(t *testing.T) {
	s := newSite(t)
	apply(t, s.table, shared())
	for f := range families {
		s.want(t, s.pod, outsideAddr[f], nodeAddr[f])
		s.want(t, s.pod, remoteAddr[f], podAddr[f])
		s.want(t, s.pod, otherAddr[f], podAddr[f])
		echo(t, s.node, nodeAddr[f])
		s.want(t, s.pod, nodeAddr[f], podAddr[f])
	}
}

// A pool that is not to be translated, beside one that is.
func TestTranslateNotAskedFor(t *testing.T) {
	s := newSite(t)
	want := shared()
	want.Translated = prefixes("10.244.1.6/32", "fd44::1:6/128")
	apply(t, s.table, want)
	for f := range families {
		s.want(t, s.pod, outsideAddr[f], podAddr[f])
		s.want(t, s.other, outsideAddr[f], nodeAddr[f])
	}
}

func TestMasqueradeByOtherLinks(t *testing.T) {
	s := newSite(t)
	want := shared()
	want.Uplinks = nil
	apply(t, s.table, want)
	for f := range families {
		got := dial(t, s.pod, "", outsideAddr[f], echoPort).seen(t).Addr().String()
		if got != uplinkAddr(f, 1) && got != uplinkAddr(f, 2) {
			t.Errorf("%s sees %s, want the address of an uplink", outsideAddr[f], got)
		}
	}
}

// An open flow goes on when the uplink that it uses fails, with the same source.
func TestFlowOutlivesAnUplink(t *testing.T) {
	for f, family := range families {
		t.Run(family, func(t *testing.T) {
			s := newSite(t)
			apply(t, s.table, shared())
			flow := dial(t, s.pod, "", outsideAddr[f], echoPort)
			before := flow.seen(t)
			for i := range s.tors {
				used := s.node.Run(t, "ip", "route", "get", outsideAddr[f], "from", podAddr[f], "iif", s.podLink, "ipproto", "udp",
					"sport", port(flow.LocalAddr()), "dport", "7")
				name := [2]string{"eth1", "eth2"}[i]
				if !strings.Contains(used, name) {
					continue
				}
				// The ToR dies: the other end goes, and what led to it.
				s.tors[i].Run(t, "ip", "link", "set", "south", "down")
				s.tors[i].Run(t, "ip", "link", "set", "north", "down")
				s.node.Run(t, "ip", []string{"-4", "-6"}[f], "route", "replace", "default", "via", torAddr(f, 2-i))
				s.outside.Run(t, "ip", []string{"-4", "-6"}[f], "route", "replace", "default", "via", upAddr(f, 2-i))
				if after := flow.seen(t); after != before {
					t.Errorf("the echo saw %s before and %s after", before, after)
				}
				return
			}
			t.Fatal("the flow uses neither uplink")
		})
	}
}

func port(a net.Addr) string {
	_, p, _ := net.SplitHostPort(a.String())
	return p
}

// Flows keep what they began with while translation comes, is mended, and goes.
func TestFlowsGoOn(t *testing.T) {
	s := newSite(t)
	off := shared()
	off.Translated = nil
	apply(t, s.table, off)
	var flows []flow
	var began []netip.AddrPort
	begin := func(sources [2]string) {
		t.Helper()
		for f := range families {
			flow := dial(t, s.pod, "", outsideAddr[f], echoPort)
			source := flow.seen(t)
			if source.Addr().String() != sources[f] {
				t.Errorf("a new flow is seen as %s, want %s", source.Addr(), sources[f])
			}
			flows, began = append(flows, flow), append(began, source)
		}
	}
	check := func(what string) {
		t.Helper()
		for i, f := range flows {
			if got := f.seen(t); got != began[i] {
				t.Errorf("%s: a flow that was seen as %s is now seen as %s", what, began[i], got)
			}
		}
	}
	begin(podAddr)
	apply(t, s.table, shared())
	check("translation on")
	begin(nodeAddr)
	s.node.Run(t, "nft", "flush", "ruleset")
	apply(t, s.table, shared())
	check("table made anew")
	begin(nodeAddr)
	more := shared()
	more.Pods = append(more.Pods, prefixes("10.250.0.0/16")...)
	apply(t, s.table, more)
	check("another pool")
	apply(t, s.table, off)
	check("translation off")
	begin(podAddr)
}

// An error about a translated packet finds its way back to the pod.
func TestErrorsComeBack(t *testing.T) {
	s := newSite(t)
	apply(t, s.table, shared())
	for f := range families {
		s.want(t, s.pod, outsideAddr[f], nodeAddr[f])
		closed := dial(t, s.pod, "", outsideAddr[f], 9)
		_, _ = closed.Write([]byte("?"))
		if _, err := closed.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("read from a closed port: %v, want connection refused", err)
		}
	}
}

// Packets leave by one ToR, and their answers come by the other alone.
func TestReturnPathByTheOtherToR(t *testing.T) {
	s := newSite(t)
	s.node.Run(t, "sysctl", "-qw", "net.ipv4.conf.eth1.rp_filter=2", "net.ipv4.conf.eth2.rp_filter=2")
	for f, ip := range []string{"-4", "-6"} {
		s.node.Run(t, "ip", ip, "route", "replace", "default", "via", torAddr(f, 1))
		s.outside.Run(t, "ip", ip, "route", "replace", "default", "via", upAddr(f, 2))
	}
	apply(t, s.table, shared())
	for f := range families {
		s.want(t, s.pod, outsideAddr[f], nodeAddr[f])
		s.want(t, s.pod, remoteAddr[f], podAddr[f])
	}
}
