package route

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
)

// many makes so many routes by one next hop, in order.
func many(count int, hop string) []dataplane.Route {
	hops := []netip.Addr{netip.MustParseAddr(hop)}
	routes := make([]dataplane.Route, count)
	for i := range routes {
		n := uint32(100<<24 | i<<6)
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n))), 26)
		if hops[0].Is6() {
			prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte(append([]byte{0: 0xfd, 11: 0}, binary.BigEndian.AppendUint32(nil, n)...))), 122)
		}
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

// BenchmarkFailover moves 10,000 routes from one next hop to another: by Apply,
// comparison and reading back included; and, of routes that name a nexthop object,
// by one message to that, which is all that is timed (docs/design/0015).
func BenchmarkFailover(b *testing.B) {
	const count = 10_000
	for family, hops := range map[string][2]string{"IPv4": {"10.2.0.11", "10.2.0.12"}, "IPv6": {"2001:db8:2::11", "2001:db8:2::12"}} {
		b.Run(family+"/apply", func(b *testing.B) {
			n := newNode(b)
			first, second := many(count, hops[0]), many(count, hops[1])
			n.mustApply(second)
			b.ReportAllocs()
			for b.Loop() {
				n.mustApply(first)
				first, second = second, first
			}
			rate(b, count)
		})
		b.Run(family+"/object", func(b *testing.B) {
			n := newNode(b)
			n.ip("nexthop", "add", "id", "1", "via", hops[0], "dev", "eth0")
			n.ip("nexthop", "add", "id", "2", "via", hops[1], "dev", "eth0")
			n.ip("nexthop", "add", "id", "10", "group", "1")
			n.batch(func(line func(string, ...any)) {
				for _, r := range many(count, hops[0]) {
					line("route add %s nhid 10 proto 170 metric 1700\n", r.Prefix)
				}
			})
			to := 2
			for b.Loop() {
				n.ip("nexthop", "replace", "id", "10", "group", fmt.Sprint(to))
				to = 3 - to
			}
			rate(b, count)
		})
	}
}

// batch has ip(8) do what write puts down.
func (n *node) batch(write func(line func(string, ...any))) {
	n.t.Helper()
	var lines bytes.Buffer
	write(func(format string, args ...any) { fmt.Fprintf(&lines, format, args...) })
	file := filepath.Join(n.t.TempDir(), "batch")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.ip("-batch", file)
}
