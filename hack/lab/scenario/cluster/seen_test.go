package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/lab/topology"
)

// serveOutside has the host outside tell who asks it whom it sees, as the pods'
// servers do, until the end of the test. It returns the port.
func (s *scene) serveOutside(t *testing.T) uint16 {
	t.Helper()
	var l net.Listener
	if err := s.ns(topology.RoleOutside).Inside(func() (err error) {
		l, err = net.Listen("tcp", ":0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RemoteAddr)
	})}
	go func() { _ = server.Serve(l) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// seen waits until a server that a pod asks sees one of some addresses.
func (s *scene) seen(t *testing.T, from corev1.Pod, to netip.AddrPort, want ...netip.Addr) {
	t.Helper()
	ns := podNS(t, from)
	s.eventually(t, fmt.Sprintf("%s asks %s", from.Name, to), func(ctx context.Context) error { return seesOneOf(ctx, ns, to, want) })
}

func (s *scene) seenFromOutside(t *testing.T, to netip.AddrPort, want ...netip.Addr) {
	t.Helper()
	s.eventually(t, fmt.Sprintf("the host outside asks %s", to), func(ctx context.Context) error {
		return seesOneOf(ctx, s.ns(topology.RoleOutside), to, want)
	})
}

// seesOneOf asks a server whom it sees.
func seesOneOf(ctx context.Context, from nstest.NS, to netip.AddrPort, want []netip.Addr) error {
	text, err := get(ctx, from, to, "/clientip")
	if err != nil {
		return err
	}
	seen, err := netip.ParseAddrPort(text)
	if err != nil {
		return fmt.Errorf("%s says %q: %w", to, text, err)
	}
	if !slices.Contains(want, seen.Addr().Unmap()) {
		return fmt.Errorf("%s sees %s, want one of %v", to, seen, want)
	}
	return nil
}
