package route

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
)

// many makes so many routes by one next hop, in order.
func many(count int, hop string) []dataplane.Route {
	hops := []netip.Addr{netip.MustParseAddr(hop)}
	routes := make([]dataplane.Route, count)
	for i := range routes {
		n := 100<<24 | i<<6
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 26)
		routes[i] = dataplane.Route{Prefix: prefix, NextHops: hops}
	}
	return routes
}

func (n *node) mustApply(want []dataplane.Route) {
	res, err := n.table.Apply(want, true)
	if err != nil || len(res.Failed) != 0 {
		n.t.Fatal(err, len(res.Failed))
	}
}

func rate(b *testing.B, routes int) {
	b.ReportMetric(float64(b.N)*float64(routes)/b.Elapsed().Seconds(), "routes/s")
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkInstall makes 100,000 routes in an empty table.
func BenchmarkInstall(b *testing.B) {
	n, want := newNode(b), many(100_000, "10.2.0.11")
	b.ReportAllocs()
	for b.Loop() {
		n.mustApply(want)
		b.StopTimer()
		if err := n.table.Clean(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	rate(b, len(want))
}

// BenchmarkCompare finds 100,000 routes as wanted; BenchmarkDump has the kernel
// list them to a reader that looks at none.
func BenchmarkCompare(b *testing.B) {
	n, want := newNode(b), many(100_000, "10.2.0.11")
	n.mustApply(want)
	b.Run("apply", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n.mustApply(want)
		}
		rate(b, len(want))
	})
	b.Run("dump", func(b *testing.B) {
		for b.Loop() {
			if read := n.dump(b); read < 100_000*40 {
				b.Fatal(read)
			}
		}
		rate(b, len(want))
	})
}

// dump has the kernel list its IPv4 routes, and returns how many bytes that are.
func (n *node) dump(b *testing.B) (read int) {
	b.Helper()
	n.Do(b, func() {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = unix.Close(fd) }()
		req := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg)
		binary.NativeEndian.PutUint32(req, uint32(len(req)))
		binary.NativeEndian.PutUint16(req[4:], unix.RTM_GETROUTE)
		binary.NativeEndian.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
		req[unix.SizeofNlMsghdr] = unix.AF_INET
		if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			b.Error(err)
			return
		}
		for buf := make([]byte, 64<<10); ; {
			got, err := unix.Read(fd, buf)
			if err != nil || binary.NativeEndian.Uint16(buf[4:]) == unix.NLMSG_DONE {
				return
			}
			read += got
		}
	})
	return read
}

// BenchmarkFailover moves 10,000 routes from one next hop to another.
func BenchmarkFailover(b *testing.B) {
	n := newNode(b)
	first, second := many(10_000, "10.2.0.11"), many(10_000, "10.2.0.12")
	n.mustApply(second)
	b.ReportAllocs()
	for b.Loop() {
		n.mustApply(first)
		first, second = second, first
	}
	rate(b, len(first))
}
