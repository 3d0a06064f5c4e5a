package filter_test

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
)

// There is no moment without rules: while sets change and the table is made anew,
// again and again, no new flow leaves untranslated and no spoofed packet arrives.
func TestNoMomentWithoutRules(t *testing.T) {
	s := newSite(t)
	apply(t, s.table, shared())
	for f := range families {
		s.want(t, s.pod, outsideAddr[f], nodeAddr[f])
	}
	s.pod.Run(t, "ip", "addr", "add", "203.0.113.9", "dev", "eth0")
	s.pod.Run(t, "ip", "addr", "add", "2001:db8:9::9", "dev", "eth0", "nodad")
	var sent, arrived atomic.Int64
	var stop atomic.Bool
	var wrong sync.Map
	var running sync.WaitGroup
	for f := range families {
		var server net.PacketConn
		s.outside.Do(t, func() {
			var err error
			if server, err = net.ListenPacket("udp", net.JoinHostPort(outsideAddr[f], "99")); err != nil {
				t.Error(err)
			}
		})
		defer server.Close()
		go func() {
			b := make([]byte, 64)
			for {
				_, from, err := server.ReadFrom(b)
				if err != nil {
					return
				}
				arrived.Add(1)
				if a := netip.MustParseAddrPort(from.String()).Addr().String(); a != nodeAddr[f] {
					wrong.Store(a, true)
				}
			}
		}()
		for _, from := range []string{"", [2]string{"203.0.113.9", "2001:db8:9::9"}[f]} {
			running.Go(func() {
				err := s.pod.Inside(func() error {
					d := net.Dialer{}
					if from != "" {
						d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(from)}
					}
					for !stop.Load() {
						conn, err := d.DialContext(t.Context(), "udp", net.JoinHostPort(outsideAddr[f], "99"))
						if err != nil {
							return err
						}
						_, _ = conn.Write([]byte("!"))
						_ = conn.Close()
						sent.Add(1)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	more := shared()
	more.Pods = append(more.Pods, prefixes("10.250.0.0/16", "fd45::/64")...)
	more.Translated = append(more.Translated, prefixes("10.250.0.0/16", "fd45::/64")...)
	for range 40 {
		apply(t, s.table, more)
		s.node.Run(t, "nft", "add", "chain", "inet", "fairlead", "more")
		apply(t, s.table, shared())
	}
	stop.Store(true)
	running.Wait()
	if arrived.Load() < 100 {
		t.Errorf("only %d of %d packets arrived: the test shows nothing", arrived.Load(), sent.Load())
	}
	wrong.Range(func(from, _ any) bool {
		t.Errorf("a packet arrived from %s", from)
		return true
	})
	t.Logf("%d packets sent, %d arrived", sent.Load(), arrived.Load())
}
