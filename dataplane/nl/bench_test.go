package nl

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nstest"
)

// benchRoutes is how many routes the benchmarks write and list.
const benchRoutes = 20000

// learned is a route as the agent learns it, the i-th.
func learned(i int) Route {
	r := drop(0)
	r.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + i>>16), byte(i >> 8), byte(i)}), 32)
	r.Type, r.Hops = unix.RTN_UNICAST, []Hop{{Addr: netip.MustParseAddr("10.2.0.2")}}
	return r
}

func perRoute(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRoutes, "ns/route")
}

// BenchmarkReplace writes routes: by Batch, and by one call of the library each.
func BenchmarkReplace(b *testing.B) {
	b.Run("batch", func(b *testing.B) {
		_, c := dial(b)
		b.ReportAllocs()
		for b.Loop() {
			writeBatch(b, c)
		}
		perRoute(b)
	})
	b.Run("library", func(b *testing.B) {
		ns, _ := dial(b)
		h := handleIn(b, ns)
		b.ReportAllocs()
		for b.Loop() {
			for i := range benchRoutes {
				if err := h.RouteReplace(libraryRoute(i)); err != nil {
					b.Fatal(err)
				}
			}
		}
		perRoute(b)
	})
}

// BenchmarkList lists them: by Routes, and by the library.
func BenchmarkList(b *testing.B) {
	ns, c := dial(b)
	writeBatch(b, c)
	b.Run("routes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got, err := c.Routes(unix.AF_INET, mine); err != nil || len(got) != benchRoutes {
				b.Fatal(len(got), err)
			}
		}
		perRoute(b)
	})
	h := handleIn(b, ns)
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			err := h.RouteListFilteredIter(unix.AF_INET, &netlink.Route{Protocol: 170}, netlink.RT_FILTER_PROTOCOL, func(r netlink.Route) bool {
				if r.Protocol == 170 {
					n++
				}
				return true
			})
			if err != nil || n != benchRoutes {
				b.Fatal(n, err)
			}
		}
		perRoute(b)
	})
}

// BenchmarkVeth makes a pair with its far end in another namespace, and learns
// its index. Give it a -benchtime of a fixed count: the pairs stay until the end.
func BenchmarkVeth(b *testing.B) {
	b.Run("batch", func(b *testing.B) {
		_, c := dial(b)
		pod := openNamespace(b)
		for i := 0; b.Loop(); i++ {
			near, far := End{Name: fmt.Sprint("fl", i), MAC: MAC{2, 1}}, End{Name: fmt.Sprint("eth", i), MAC: MAC{2, 2}}
			err := c.Batch([]Message{AddVeth(near, far, int(pod.Fd()), 1400)})[0]
			if err == nil {
				_, err = c.Index(near.Name)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		ns, _ := dial(b)
		pod, h := openNamespace(b), handleIn(b, ns)
		for i := 0; b.Loop(); i++ {
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.MTU, attrs.HardwareAddr = fmt.Sprint("fl", i), 1400, net.HardwareAddr{2, 1, 0, 0, 0, 0}
			err := h.LinkAdd(&netlink.Veth{
				LinkAttrs: attrs, PeerName: fmt.Sprint("eth", i), PeerHardwareAddr: net.HardwareAddr{2, 2, 0, 0, 0, 0},
				PeerNamespace: netlink.NsFd(pod.Fd()),
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func openNamespace(b *testing.B) *os.File {
	b.Helper()
	f, err := os.Open(nstest.New(b, "pod").Path())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	return f
}

// BenchmarkReceive is told of routes as they are written.
func BenchmarkReceive(b *testing.B) {
	ns, c := dial(b)
	var m *Monitor
	ns.Do(b, func() {
		var err error
		if m, err = Subscribe(unix.RTNLGRP_IPV4_ROUTE); err != nil {
			b.Error(err)
		}
	})
	defer m.Close()
	b.ReportAllocs()
	for turn := 0; b.Loop(); turn++ {
		msgs := make([]Message, batchSize)
		for i := range msgs {
			r := learned(i)
			r.Type, r.Hops = unix.RTN_BLACKHOLE, nil
			if turn%2 == 0 { // what stays as it is, is not told
				r = learned(i)
			}
			msgs[i] = replace(r)
		}
		c.Batch(msgs)
		for told := 0; told < len(msgs); {
			if err := m.Receive(b.Context(), func(Event) { told++ }); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batchSize, "ns/route")
}

func writeBatch(b *testing.B, c *Conn) {
	b.Helper()
	c.Send(benchRoutes, func(i int, out []byte) []byte {
		r := learned(i)
		return Replace.Append(out, &r)
	}, func(_ int, err error) { b.Fatal(err) })
}

func libraryRoute(i int) *netlink.Route {
	r := learned(i)
	dst := netlink.NewIPNet(r.Prefix.Addr().AsSlice())
	return &netlink.Route{
		Dst: dst, Gw: r.Hops[0].Addr.AsSlice(), Protocol: netlink.RouteProtocol(r.Protocol),
		Priority: int(r.Metric), Table: int(r.Table),
	}
}

func handleIn(b *testing.B, ns nstest.NS) (h *netlink.Handle) {
	b.Helper()
	ns.Do(b, func() {
		var err error
		if h, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(h.Close)
	return h
}
