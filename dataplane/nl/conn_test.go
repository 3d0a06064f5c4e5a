package nl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nstest"
)

// dial makes a namespace with eth0, 10.2.0.1/24 and 2001:db8::1/64, and a
// socket in it.
func dial(t testing.TB) (nstest.NS, *Conn) {
	t.Helper()
	ns := nstest.New(t, "nl")
	ns.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0")
	ns.Run(t, "ip", "addr", "add", "10.2.0.1/24", "dev", "eth0")
	ns.Run(t, "ip", "addr", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
	ns.Run(t, "ip", "link", "set", "far0", "up")
	ns.Run(t, "ip", "link", "set", "eth0", "up")
	return ns, dialIn(t, ns)
}

func dialIn(t testing.TB, ns nstest.NS) (c *Conn) {
	t.Helper()
	ns.Do(t, func() {
		var err error
		if c, err = Dial(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func drop(i int) Route {
	return Route{
		Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i >> 8), byte(i)}), 32),
		Table:  unix.RT_TABLE_MAIN, Protocol: 170, Type: unix.RTN_BLACKHOLE, Metric: 7,
	}
}

// replace and remove make of Verb's bytes what Batch takes.
func replace(r Route) Message { return message(Replace, r) }

func remove(r Route) Message { return message(Delete, r) }

func message(v Verb, r Route) Message {
	b := v.Append(nil, &r)
	m := request(int(binary.NativeEndian.Uint16(b[4:])), int(binary.NativeEndian.Uint16(b[6:])))
	m.RawData = b[unix.SizeofNlMsghdr:]
	return m
}

func all(Route) bool { return true }

func mine(r Route) bool { return r.Protocol == 170 }

// Each failure is attributed to its own message, in every chunk, and stops none
// of the others.
func TestBatchAttributesErrors(t *testing.T) {
	_, c := dial(t)
	const count = 3*batchSize + 17
	bad := map[int]unix.Errno{0: unix.ENETUNREACH, 5: unix.EEXIST, batchSize - 1: unix.ENETUNREACH, batchSize: unix.EEXIST, count - 1: unix.ENETUNREACH}
	msgs := make([]Message, count)
	for i := range msgs {
		r := drop(i)
		switch bad[i] {
		case unix.ENETUNREACH:
			r.Type, r.Hops = unix.RTN_UNICAST, []Hop{{Addr: netip.MustParseAddr("192.0.2.1")}}
		case unix.EEXIST:
			r = drop(1)
		}
		msgs[i] = AddRoute(r)
	}
	for i, err := range c.Batch(msgs) {
		if want := bad[i]; want == 0 && err != nil || want != 0 && !errors.Is(err, want) {
			t.Errorf("message %d: %v, want errno %d", i, err, want)
		}
		var refusal *Error
		if bad[i] == unix.ENETUNREACH && (!errors.As(err, &refusal) || refusal.Text != "Nexthop has invalid gateway") {
			t.Errorf("message %d: %v, want the kernel's own words", i, err)
		}
	}
	routes, err := c.Routes(unix.AF_INET, mine)
	if err != nil || len(routes) != count-len(bad) {
		t.Errorf("the kernel has %d routes (%v), want %d", len(routes), err, count-len(bad))
	}
}

func TestBatchOfNothing(t *testing.T) {
	_, c := dial(t)
	if got := c.Batch(nil); len(got) != 0 {
		t.Errorf("results of no message: %v", got)
	}
}

// A socket that is no more gives each message its error and blocks nobody.
func TestBatchOnClosedSocket(t *testing.T) {
	ns, _ := dial(t)
	var c *Conn
	ns.Do(t, func() { c, _ = Dial() })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for i, err := range c.Batch([]Message{AddRoute(drop(1)), AddRoute(drop(2))}) {
		if !errors.Is(err, unix.EBADF) {
			t.Errorf("message %d: %v, want EBADF", i, err)
		}
	}
	if _, err := c.Routes(unix.AF_INET, all); !errors.Is(err, unix.EBADF) {
		t.Errorf("list: %v, want EBADF", err)
	}
}

// Refusals that find no room make of all that was not refused by name something
// unanswered, not something obeyed; and the next exchange is not confused by
// answers that come late.
func TestLostAnswers(t *testing.T) {
	_, c := dial(t)
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	msgs := make([]Message, batchSize)
	for i := range msgs {
		msgs[i] = AddRoute(drop(i / 2)) // every other is there already
	}
	lost := 0
	for i, err := range c.Batch(msgs) {
		switch {
		case errors.Is(err, ErrUnanswered):
			lost++
		case i%2 == 0 || !errors.Is(err, unix.EEXIST):
			t.Errorf("message %d: %v", i, err)
		}
	}
	if lost <= batchSize/2 {
		t.Fatalf("%d answers were lost: the test shows nothing", lost)
	}
	if err := c.growReceiveBuffer(); err != nil {
		t.Fatal(err)
	}
	routes, err := c.Routes(unix.AF_INET, mine)
	if err != nil || len(routes) != len(msgs)/2 {
		t.Errorf("after the loss: %d routes, %v, want %d", len(routes), err, len(msgs)/2)
	}
	if err := c.Batch([]Message{remove(drop(3))})[0]; err != nil {
		t.Errorf("after the loss: %v", err)
	}
}

func TestRoutesOfOtherTablesAreLeftOut(t *testing.T) {
	ns, c := dial(t)
	ns.Run(t, "ip", "route", "add", "blackhole", "10.9.0.0/24", "table", "1000")
	routes, err := c.Routes(unix.AF_INET, all)
	if err != nil {
		t.Fatal(err)
	}
	if len(routes) != 1 || routes[0].Prefix.String() != "10.2.0.0/24" {
		t.Errorf("main table: %+v, want the connected route alone", routes)
	}
}

// A table that changes under the dump: what is returned without an error is
// whole, and the interruptions are noticed.
func TestInterruptedDump(t *testing.T) {
	ns, c := dial(t)
	addFixed(t, c)
	stop := churn(t, dialIn(t, ns))
	defer stop()
	interrupted := 0
	for deadline := time.Now().Add(10 * time.Second); interrupted < 3 && time.Now().Before(deadline); {
		routes, err := c.Routes(unix.AF_INET6, func(r Route) bool { return r.Metric == 7 })
		switch {
		case errors.Is(err, ErrInterrupted):
			interrupted++
		case err != nil:
			t.Fatal(err)
		case len(routes) != fixed:
			t.Fatalf("a dump without an error has %d routes, want %d", len(routes), fixed)
		}
	}
	if interrupted == 0 {
		t.Error("no dump was interrupted in 10 s of constant change")
	}
}

// Notifications that find no room make a dump an interrupted one, and no more:
// it is read to its end, and the next is as good as ever.
func TestDumpOutlivesAnOverrun(t *testing.T) {
	ns, c := dial(t)
	addFixed(t, c)
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	stop := churn(t, dialIn(t, ns))
	interrupted := 0
	for deadline := time.Now().Add(10 * time.Second); interrupted < 5 && time.Now().Before(deadline); {
		routes, err := c.Routes(unix.AF_INET6, func(r Route) bool { return r.Metric == 7 })
		if errors.Is(err, ErrInterrupted) {
			interrupted++
		} else if err != nil || len(routes) != fixed {
			t.Errorf("%d routes, %v, want %d or an interruption", len(routes), err, fixed)
		}
	}
	stop()
	if interrupted == 0 {
		t.Error("no dump was interrupted in 10 s of constant change")
	}
	if routes, err := c.Routes(unix.AF_INET6, mine); err != nil || len(routes) < fixed {
		t.Errorf("after it: %d routes, %v, want %d", len(routes), err, fixed)
	}
}

// fixed is how many IPv6 routes addFixed adds, with metric 7.
const fixed = 4000

func addFixed(t *testing.T, c *Conn) {
	t.Helper()
	msgs := make([]Message, fixed)
	for i := range msgs {
		r := drop(0)
		r.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: byte(i >> 8), 2: byte(i)}), 64)
		msgs[i] = AddRoute(r)
	}
	for _, err := range c.Batch(msgs) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// churn adds and removes IPv6 routes all the time, until stopped.
func churn(t *testing.T, c *Conn) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := drop(0)
		r.Metric = 8
		for i := 0; ctx.Err() == nil; i++ {
			r.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: byte(i % 16)}), 48)
			for _, err := range c.Batch([]Message{AddRoute(r), remove(r)}) {
				if err != nil {
					t.Errorf("churn: %v", err)
					return
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}

// A reader that gives up on the first entry hears of it, and leaves nothing
// behind for the next exchange.
func TestDumpWithAnErrorIsReadToItsEnd(t *testing.T) {
	_, c := dial(t)
	var msgs []Message
	for i := range 3000 {
		msgs = append(msgs, AddRoute(drop(i)))
	}
	c.Batch(msgs)
	broken, first := errors.New("broken entry"), true
	_, err := collect(c, request(unix.RTM_GETROUTE, 0, &rtnl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET}}), 0,
		func([]byte) (struct{}, bool, error) {
			defer func() { first = false }()
			if first {
				return struct{}{}, false, broken
			}
			return struct{}{}, false, nil
		})
	if !errors.Is(err, broken) {
		t.Errorf("dump: %v, want %v", err, broken)
	}
	if routes, err := c.Routes(unix.AF_INET, mine); err != nil || len(routes) != len(msgs) {
		t.Errorf("after it: %d routes, %v, want %d", len(routes), err, len(msgs))
	}
}

func TestLinksAndAddresses(t *testing.T) {
	_, c := dial(t)
	links, err := c.Links()
	if err != nil {
		t.Fatal(err)
	}
	names := map[uint32]string{}
	for _, l := range links {
		names[l.Index] = l.Name
	}
	addrs, err := c.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, a := range addrs {
		got[a.Prefix.String()] = names[a.Link]
	}
	for prefix, link := range map[string]string{"127.0.0.1/8": "lo", "::1/128": "lo", "10.2.0.1/24": "eth0", "2001:db8::1/64": "eth0"} {
		if got[prefix] != link {
			t.Errorf("%s is on %q, want %q", prefix, got[prefix], link)
		}
	}
}

// Two who use one socket get each their own answers.
func TestConnIsShared(t *testing.T) {
	_, c := dial(t)
	errs := make(chan error, 4)
	for g := range 4 {
		go func() {
			var err error
			for i := range 20 {
				r := drop(g<<8 + i)
				err = errors.Join(err, errors.Join(c.Batch([]Message{AddRoute(r), remove(r)})...))
				if _, listErr := c.Links(); listErr != nil {
					err = errors.Join(err, fmt.Errorf("links: %w", listErr))
				}
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// A monitor that ignores a socket hears of everyone else's changes, however many
// that socket makes.
func TestMonitorIgnores(t *testing.T) {
	ns, c := dial(t)
	self, err := c.PortID()
	if err != nil {
		t.Fatal(err)
	}
	var m *Monitor
	ns.Do(t, func() {
		if m, err = Subscribe(unix.RTNLGRP_IPV4_ROUTE); err == nil {
			err = m.Ignore(self)
		}
		if err != nil {
			t.Error(err)
		}
	})
	defer m.Close()
	c.Send(20_000, func(i int, b []byte) []byte {
		r := drop(i)
		return Add.Append(b, &r)
	}, func(i int, err error) { t.Errorf("route %d: %v", i, err) })
	if err := dialIn(t, ns).Batch([]Message{remove(drop(7))})[0]; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var told []Event
	if err := m.Receive(ctx, func(e Event) { told = append(told, e) }); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].Type != unix.RTM_DELROUTE || told[0].PortID == self {
		t.Errorf("told of %+v, want the other's deletion alone", told)
	}
}

// A monitor of default routes hears of none other, however many change, and of
// all that is no route.
func TestMonitorOfDefaultRoutes(t *testing.T) {
	ns, c := dial(t)
	var m *Monitor
	ns.Do(t, func() {
		var err error
		if m, err = Subscribe(unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_ROUTE); err == nil {
			err = m.OnlyDefault()
		}
		if err != nil {
			t.Error(err)
		}
	})
	defer m.Close()
	c.Send(20_000, func(i int, b []byte) []byte {
		r := drop(i)
		return Add.Append(b, &r)
	}, func(i int, err error) { t.Errorf("route %d: %v", i, err) })
	ns.Run(t, "ip", "route", "add", "default", "via", "10.2.0.2")
	ns.Run(t, "ip", "route", "del", "default")
	ns.Run(t, "ip", "link", "add", "br0", "type", "bridge")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var told []uint16
	for len(told) < 3 {
		if err := m.Receive(ctx, func(e Event) { told = append(told, e.Type) }); err != nil {
			t.Fatal(err)
		}
	}
	if want := []uint16{unix.RTM_NEWROUTE, unix.RTM_DELROUTE, unix.RTM_NEWLINK}; !slices.Equal(told, want) {
		t.Errorf("told of %v, want %v", told, want)
	}
}
