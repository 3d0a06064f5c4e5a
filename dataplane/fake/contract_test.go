package fake_test

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/fake"
	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/dataplane/route"
	"fairlead.dev/dataplane/routetest"
)

// table is what the agent uses of either.
type table interface {
	List() ([]dataplane.Route, error)
	Apply(want []dataplane.Route, prune bool) (dataplane.Result, error)
	Watch(ctx context.Context) (<-chan struct{}, error)
	Clean() error
	Close() error
}

var (
	_ table = (*fake.Table)(nil)
	_ table = (*route.Table)(nil)
)

// unreachable is a prefix that both tables refuse: the fake because it is told
// to, the kernel because of its next hop.
var unreachable = routetest.Via("10.244.9.0/26", "192.0.2.1")

// backend is one implementation under the contract.
type backend struct {
	table
	// drop removes a route behind the table's back.
	drop func(netip.Prefix)
	// link makes link vx0, which lateLink needs.
	link func()
}

// lateLink is refused until there is its link.
var lateLink = routetest.OnLink(routetest.Via("10.244.7.0/26", "10.9.0.2", "fe80::2"), "vx0")

func newFake(*testing.T) backend {
	f := &fake.Table{}
	f.Refuse(unreachable.Prefix, errors.New("next hop is not on a connected subnet"))
	f.Refuse(lateLink.Prefix, errors.New("link does not exist"))
	return backend{f, f.Drop, func() { f.Refuse(lateLink.Prefix, nil) }}
}

func newKernel(t *testing.T) backend {
	ns := nstest.New(t, "contract")
	ns.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0")
	ns.Run(t, "ip", "addr", "add", "10.2.0.1/24", "dev", "eth0")
	ns.Run(t, "ip", "addr", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
	ns.Run(t, "ip", "link", "set", "far0", "up")
	ns.Run(t, "ip", "link", "set", "eth0", "up")
	var b backend
	ns.Do(t, func() {
		k, err := route.Open()
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = k.Close() })
		b = backend{inside{k, ns, t}, func(p netip.Prefix) { ns.Run(t, "ip", "route", "del", p.String()) }, func() {
			ns.Run(t, "ip", "link", "add", "vx0", "up", "type", "vxlan", "id", "9", "dstport", "4789")
		}}
	})
	return b
}

// inside subscribes from within the namespace, as the agent of a node does.
type inside struct {
	*route.Table
	ns nstest.NS
	t  *testing.T
}

func (i inside) Watch(ctx context.Context) (ch <-chan struct{}, err error) {
	i.ns.Do(i.t, func() { ch, err = i.Table.Watch(ctx) })
	return ch, err
}

func TestContract(t *testing.T) {
	for name, open := range map[string]func(*testing.T) backend{"fake": newFake, "kernel": newKernel} {
		for step, test := range map[string]func(*testing.T, backend){
			"converge": converge, "prune": prune, "refused": refused, "bad input": badInput,
			"replacement refused": replacementRefused, "clean": clean, "watch": watch,
			"other family": otherFamily, "link and source": linkAndSource, "link comes later": linkLater,
		} {
			t.Run(name+"/"+step, func(t *testing.T) { test(t, open(t)) })
		}
	}
}

func converge(t *testing.T, b backend) {
	for _, plan := range [][]dataplane.Route{
		{routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Blackhole("10.244.2.0/26"), routetest.Blackhole("fd00:2::/122")},
		{routetest.Via("10.244.1.0/26", "10.2.0.11", "10.2.0.12"), routetest.Via("10.244.2.0/26", "10.2.0.11"), routetest.Via("fd00:2::/122", "2001:db8::11")},
		{routetest.Blackhole("10.244.1.0/26"), routetest.Via("fd00:2::/122", "2001:db8::11", "2001:db8::12"), routetest.Via("fd00:3::/122", "fe80::9%eth0")},
		nil,
	} {
		wantInstalled(t, b, plan...)
	}
}

// An IPv4 prefix may have IPv6 next hops (RFC 8950), of both scopes, and mixed.
func otherFamily(t *testing.T, b backend) {
	for _, want := range []dataplane.Route{
		routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Via("10.244.1.0/26", "2001:db8::11"), routetest.Via("10.244.1.0/26", "fe80::9%eth0"),
		routetest.Via("10.244.1.0/26", "10.2.0.11", "2001:db8::11", "fe80::9%eth0"), routetest.Blackhole("10.244.1.0/26"),
	} {
		wantInstalled(t, b, want)
	}
}

func linkAndSource(t *testing.T, b backend) {
	for _, want := range [][]dataplane.Route{
		{routetest.OnLink(routetest.Via("10.244.1.0/26", "10.9.0.2"), "eth0"), routetest.OnLink(routetest.Via("fd00:1::/122", "fe80::2"), "eth0")},
		{routetest.From(routetest.Via("10.244.1.0/26", "10.2.0.2"), "10.2.0.1"), routetest.From(routetest.Via("fd00:1::/122", "fe80::2%eth0"), "2001:db8::1")},
		{routetest.From(routetest.OnLink(routetest.Via("10.244.1.0/26", "fe80::2", "fe80::3"), "eth0"), "10.2.0.1"), routetest.OnLink(routetest.Via("fd00:1::/122", "fe80::2", "fe80::3"), "eth0")},
		{routetest.Via("10.244.1.0/26", "10.2.0.2"), routetest.Via("fd00:1::/122", "fe80::2%eth0")},
	} {
		wantInstalled(t, b, want...)
	}
}

// A route whose link is not there fails alone, and the watch tells of the link.
func linkLater(t *testing.T, b backend) {
	ch, err := b.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := routetest.Blackhole("10.244.1.0/26")
	res := apply(t, b, true, other, lateLink)
	wantFailed(t, res, lateLink.Prefix)
	wantList(t, b, other)
	b.link()
	receive(t, ch, true)
	wantInstalled(t, b, other, lateLink)
}

func wantInstalled(t *testing.T, b backend, want ...dataplane.Route) {
	t.Helper()
	res := apply(t, b, true, want...)
	wantFailed(t, res)
	wantList(t, b, want...)
	for _, r := range want {
		if !res.Holds(r.Prefix) || (dataplane.Result{}).Holds(r.Prefix) {
			t.Errorf("%s: held %v, and by a result of nothing %v", r, res.Holds(r.Prefix), dataplane.Result{}.Holds(r.Prefix))
		}
	}
}

func wantList(t *testing.T, b backend, want ...dataplane.Route) {
	t.Helper()
	list, err := b.List()
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "List", list, want...)
}

func prune(t *testing.T, b backend) {
	apply(t, b, true, routetest.Blackhole("10.244.1.0/26"), routetest.Blackhole("10.244.2.0/26"))
	res := apply(t, b, false, routetest.Via("10.244.2.0/26", "10.2.0.11"), routetest.Blackhole("10.244.3.0/26"))
	if !slices.Equal(res.Surplus, prefixes("10.244.1.0/26")) {
		t.Errorf("surplus %v, want 10.244.1.0/26", res.Surplus)
	}
	wantList(t, b,
		routetest.Blackhole("10.244.1.0/26"), routetest.Via("10.244.2.0/26", "10.2.0.11"), routetest.Blackhole("10.244.3.0/26"))
	res = apply(t, b, true, routetest.Blackhole("10.244.3.0/26"))
	if len(res.Surplus) != 0 {
		t.Errorf("surplus after pruning: %v", res.Surplus)
	}
	wantList(t, b, routetest.Blackhole("10.244.3.0/26"))
}

func refused(t *testing.T, b backend) {
	res := apply(t, b, true, routetest.Blackhole("10.244.1.0/26"), unreachable, routetest.Blackhole("10.244.99.0/26"))
	wantFailed(t, res, unreachable.Prefix)
	wantList(t, b, routetest.Blackhole("10.244.1.0/26"), routetest.Blackhole("10.244.99.0/26"))
}

// What was there before stays and is told.
func replacementRefused(t *testing.T, b backend) {
	good := routetest.Via("10.244.8.0/26", "10.2.0.11")
	wantFailed(t, apply(t, b, true, good))
	if f, ok := b.table.(*fake.Table); ok {
		f.Refuse(good.Prefix, errors.New("next hop is not on a connected subnet"))
	}
	res := apply(t, b, true, routetest.Via("10.244.8.0/26", "192.0.2.1"))
	wantFailed(t, res, good.Prefix)
	wantList(t, b, good)
}

// A wish that makes no sense is no wish to be rid of what is there.
func badInput(t *testing.T, b backend) {
	apply(t, b, true, routetest.Blackhole("10.244.1.0/26"), routetest.Blackhole("10.244.2.0/26"), routetest.Blackhole("10.244.3.0/26"))
	res := apply(t, b, true,
		routetest.Via("10.244.1.0/26", "fe80::11"), routetest.Via("10.244.2.0/26"),
		routetest.Blackhole("10.244.4.0/26"), routetest.Via("10.244.4.0/26", "10.2.0.11"),
		routetest.Via("10.244.5.7/26", "10.2.0.12", "10.2.0.11", "10.2.0.12"))
	wantFailed(t, res, prefixes("10.244.1.0/26", "10.244.2.0/26", "10.244.4.0/26")...)
	wantList(t, b, routetest.Blackhole("10.244.1.0/26"), routetest.Blackhole("10.244.2.0/26"),
		routetest.Blackhole("10.244.4.0/26"), routetest.Via("10.244.5.0/26", "10.2.0.11", "10.2.0.12"))
	if !errors.Is(res.Failed[netip.MustParsePrefix("10.244.4.0/26")], dataplane.ErrTwice) {
		t.Errorf("two wishes for a prefix: %v, want ErrTwice", res.Failed)
	}
}

func clean(t *testing.T, b backend) {
	apply(t, b, true, routetest.Blackhole("10.244.1.0/26"), routetest.Blackhole("fd00:1::/122"))
	if err := b.Clean(); err != nil {
		t.Fatal(err)
	}
	wantList(t, b)
}

func watch(t *testing.T, b backend) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ch, err := b.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := routetest.Blackhole("10.244.1.0/26")
	apply(t, b, true, want)
	b.drop(want.Prefix)
	receive(t, ch, true)
	_ = apply(t, b, true, want)
	wantList(t, b, want)
	cancel()
	receive(t, ch, false)
}

func receive(t *testing.T, ch <-chan struct{}, wantOpen bool) {
	t.Helper()
	timeout := time.After(5 * time.Second)
	for {
		select {
		case _, open := <-ch:
			if open == wantOpen {
				return
			}
			if !open {
				t.Fatal("the watch has ended")
			}
		case <-timeout:
			t.Fatalf("waited 5 s in vain for the watch (notice wanted: %v)", wantOpen)
		}
	}
}

func apply(t *testing.T, b backend, prune bool, want ...dataplane.Route) dataplane.Result {
	t.Helper()
	res, err := b.Apply(want, prune)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func wantFailed(t *testing.T, res dataplane.Result, want ...netip.Prefix) {
	t.Helper()
	got := slices.SortedFunc(maps.Keys(res.Failed), dataplane.ComparePrefix)
	if !slices.Equal(got, want) {
		t.Errorf("failed: %v, want %v", res.Failed, want)
	}
}

func wantSame(t *testing.T, what string, got []dataplane.Route, want ...dataplane.Route) {
	t.Helper()
	if diff := routetest.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}
