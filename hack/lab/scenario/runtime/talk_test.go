package runtime

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"testing"

	"fairlead.dev/hack/lab/topology"
)

// where is a namespace to ask from: how to run something in it, and its name.
type where struct {
	name string
	line func(argv ...string) []string
}

// from is a role of the lab: a node, a router, a pod.
func (s *scene) from(role string) where {
	return where{role, func(argv ...string) []string { return s.EnterCommand(role, argv...) }}
}

// from is a pod on the machine.
func (m *machine) from(name, netns string) where {
	return where{name, func(argv ...string) []string { return m.inside(netns, argv...) }}
}

// spoken is a server's answer.
type spoken struct{ Local, Remote netip.AddrPort }

// ask asks a server, over "tcp" or "udp".
func (s *scene) ask(ctx context.Context, w where, network string, to netip.Addr, port string) (spoken, error) {
	out, err := execute(ctx, nil, "", w.line(s.tools.actor(), "ask", network, net.JoinHostPort(to.String(), port))...)
	if err != nil {
		return spoken{}, err
	}
	var a struct{ Local, Remote string }
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		return spoken{}, err
	}
	// A server that listens on all addresses writes IPv4 ones as IPv6, or leaves them out.
	parse := func(text string) netip.AddrPort {
		p, _ := netip.ParseAddrPort(text)
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return spoken{parse(a.Local), parse(a.Remote)}, nil
}

// serves waits until a pod's server answers the pod itself. It listens for UDP last.
func (s *scene) serves(t *testing.T, pod where) {
	t.Helper()
	s.eventually(t, "server of "+pod.name, func(ctx context.Context) error {
		_, err := s.ask(ctx, pod, "udp", netip.MustParseAddr("127.0.0.1"), port)
		return err
	})
}

// asked fails the test unless the server at an address answers, over both
// protocols, and says that it is the pod of that address. It returns the address
// that the server saw.
func (s *scene) asked(t *testing.T, w where, to netip.Addr, port string, pod netip.Addr) netip.Addr {
	t.Helper()
	var seen netip.Addr
	for _, network := range []string{"tcp", "udp"} {
		a, err := s.ask(t.Context(), w, network, to, port)
		if err != nil {
			t.Errorf("%s from %s: %v", network, w.name, err)
			continue
		}
		if network == "tcp" && a.Local.Addr() != pod {
			t.Errorf("tcp from %s to %s: answered by %s, want %s", w.name, to, a.Local, pod)
		}
		seen = a.Remote.Addr()
	}
	return seen
}

// refused fails the test if anyone answers.
func (s *scene) refused(t *testing.T, w where, to netip.Addr, port string) {
	t.Helper()
	if a, err := s.ask(t.Context(), w, "tcp", to, port); err == nil {
		t.Errorf("tcp from %s to %s port %s: answered by %s, want nobody", w.name, to, port, a.Local)
	}
}

// reachable fails the test unless the far pod and a pod of the machine reach each
// other, and the node it, in both families: first from afar, since a pod that
// speaks tells the node its MAC.
func (s *scene) reachable(t *testing.T, name, netns string, address func(topology.Family) netip.Addr) {
	t.Helper()
	pod := s.machine.from(name, netns)
	for _, f := range families() {
		s.pinged(t, s.from(s.far.Role()), address(f))
		s.pinged(t, s.from(node), address(f))
		// Source routing serves those who name their source.
		s.pinged(t, pod, s.far.Address(f), "-I", address(f).String())
	}
}

// pinged fails the test unless each of a few packets comes back.
func (s *scene) pinged(t *testing.T, w where, to netip.Addr, options ...string) {
	t.Helper()
	argv := append([]string{"ping", "-q", "-n", "-i", "0.01", "-c", "5", "-W", "5"}, options...)
	out, err := execute(t.Context(), nil, "", w.line(append(argv, to.String())...)...)
	if err != nil || !strings.Contains(out, " 5 received") {
		t.Errorf("ping from %s to %s: %v\n%s", w.name, to, err, out)
	}
}
