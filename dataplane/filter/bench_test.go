package filter_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"fairlead.dev/dataplane/nstest"
)

// BenchmarkPacket is a packet of 64 bytes from a pod through the node to a host
// behind a ToR, all in one thread: on a node without any packet filter, on one
// with the connection tracking and translation that kube-proxy brings along, and
// on each with our table. The four take turns in bursts; the medians are told,
// and what the table costs as a ratio.
//
//	go test ./dataplane/filter -run '^$' -bench Packet -cpu 1 -benchtime 300x
func BenchmarkPacket(b *testing.B) {
	const kubeProxy = "add table inet kube { chain postrouting { type nat hook postrouting priority srcnat ; mark 0x4000 masquerade ; } ; chain forward { type filter hook forward priority 0 ; ct state invalid drop ; } ; }"
	const burst = 1000
	for f, family := range families {
		b.Run(family, func(b *testing.B) {
			type mode struct {
				name  string
				flow  flow
				times []float64 // of a packet, in ns
			}
			var modes []*mode
			for _, name := range []string{"bare", "table", "kube", "kube+table"} {
				s := newSite(b)
				if name == "kube" || name == "kube+table" {
					s.node.Run(b, "nft", kubeProxy)
				}
				if name == "table" || name == "kube+table" {
					apply(b, s.table, shared())
				}
				sink(b, s.outside, outsideAddr[f])
				modes = append(modes, &mode{name: name, flow: dial(b, s.pod, "", outsideAddr[f], 9)})
			}
			packet := make([]byte, 64)
			for b.Loop() {
				for _, m := range modes {
					began := time.Now()
					for range burst {
						if _, err := m.flow.Write(packet); err != nil {
							b.Fatal(err)
						}
					}
					m.times = append(m.times, float64(time.Since(began).Nanoseconds())/burst)
				}
			}
			median := func(m *mode) float64 {
				slices.Sort(m.times)
				return m.times[len(m.times)/2]
			}
			for _, m := range modes {
				b.ReportMetric(median(m), m.name+"-ns")
			}
			b.ReportMetric(median(modes[1])/median(modes[0]), "table/bare")
			b.ReportMetric(median(modes[3])/median(modes[2]), "kube+table/kube")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// sink takes what it is sent and reads none of it.
func sink(b *testing.B, ns nstest.NS, addr string) {
	b.Helper()
	ns.Do(b, func() {
		conn, err := net.ListenPacket("udp", net.JoinHostPort(addr, "9"))
		if err != nil {
			b.Error(err)
			return
		}
		b.Cleanup(func() { _ = conn.Close() })
	})
}

// BenchmarkApplyNothing is the table's part of a sync in which nothing differs.
func BenchmarkApplyNothing(b *testing.B) {
	table := open(b, nstest.New(b, "node"))
	apply(b, table, shared())
	for b.Loop() {
		if _, err := table.List(); err != nil {
			b.Fatal(err)
		}
		if err := table.Apply(shared()); err != nil {
			b.Fatal(err)
		}
	}
}
