package route

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
	"fairlead.dev/dataplane/routetest"
)

// interrupted is a real kernel whose listings see too little, and say so.
type interrupted struct {
	kernel
	hide func(nl.Route) bool
	err  error
}

func (k interrupted) Scan(family uint8, start func() (visit func(*nl.Route))) error {
	err := k.kernel.Scan(family, func() func(*nl.Route) {
		visit := start()
		return func(r *nl.Route) {
			if !k.hide(*r) {
				visit(r)
			}
		}
	})
	return errors.Join(err, k.err)
}

func TestInterruptedDumpDeletesNothing(t *testing.T) {
	n := newNode(t)
	n.install(routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Blackhole("10.244.2.0/26"), routetest.Blackhole("fd00:1::/122"))
	n.table.kernel = interrupted{n.table.conn, func(nl.Route) bool { return false }, nl.ErrInterrupted}
	// One changed, one new, one not wanted, one not wanted of the other family.
	want := []dataplane.Route{routetest.Via("10.244.1.0/26", "10.2.0.12"), routetest.Blackhole("10.244.3.0/26")}
	res, err := n.table.Apply(want, true)
	if !errors.Is(err, nl.ErrInterrupted) {
		t.Errorf("error %v, want ErrInterrupted", err)
	}
	wantSurplus(t, res, "10.244.2.0/26", "fd00:1::/122")
	n.wantList(routetest.Via("10.244.1.0/26", "10.2.0.12"), routetest.Blackhole("10.244.2.0/26"), routetest.Blackhole("10.244.3.0/26"), routetest.Blackhole("fd00:1::/122"))
	n.wantKernel("10.244.1.0/26 via 10.2.0.12 dev eth0 metric 1700", "blackhole 10.244.2.0/26 metric 1700",
		"blackhole 10.244.3.0/26 metric 1700", "blackhole fd00:1::/122 dev lo metric 1700 pref medium")
	if _, err := n.table.List(); !errors.Is(err, nl.ErrInterrupted) {
		t.Errorf("List: %v, want ErrInterrupted", err)
	}
}

// What the listing did not show is written as new, which the kernel refuses to
// do over what is there, ours or not.
func TestInterruptedDumpOverwritesNothingUnseen(t *testing.T) {
	n := newNode(t)
	n.ip("route", "add", "10.244.1.0/26", "via", "10.2.0.99", "proto", "static", "metric", "1700")
	n.ip("route", "add", "fd00:1::/122", "via", "2001:db8:2::99", "proto", "static", "metric", "1700")
	before := n.ours("proto", "static")
	n.table.kernel = interrupted{n.table.conn, func(nl.Route) bool { return true }, nl.ErrInterrupted}
	res, err := n.table.Apply([]dataplane.Route{routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Via("fd00:1::/122", "2001:db8:2::11")}, true)
	if !errors.Is(err, nl.ErrInterrupted) {
		t.Errorf("error %v, want ErrInterrupted", err)
	}
	for p, err := range res.Failed {
		if !errors.Is(err, unix.EEXIST) {
			t.Errorf("%s: %v, want EEXIST", p, err)
		}
	}
	if len(res.Failed) != 2 {
		t.Errorf("failed: %v, want 2", res.Failed)
	}
	wantLines(t, n.ours("proto", "static"), before...)
	n.wantKernel()
}

func TestFailedDumpTouchesNothing(t *testing.T) {
	n := newNode(t)
	n.install(routetest.Blackhole("10.244.2.0/26"))
	n.table.kernel = interrupted{n.table.conn, func(nl.Route) bool { return false }, unix.ENOBUFS}
	res, err := n.table.Apply([]dataplane.Route{routetest.Blackhole("10.244.3.0/26")}, true)
	if !errors.Is(err, unix.ENOBUFS) || res.Seen || len(res.Failed) != 0 {
		t.Errorf("Apply: %v, %v, want nothing and ENOBUFS", res, err)
	}
	n.wantKernel("blackhole 10.244.2.0/26 metric 1700")
}

// lossy is a real kernel whose every answer to a batch gets lost.
type lossy struct{ kernel }

func (k lossy) Send(n int, message func(int, []byte) []byte, refused func(int, error)) {
	k.kernel.Send(n, message, func(int, error) {})
	for i := range n {
		refused(i, nl.ErrUnanswered)
	}
}

// The kernel's table is the truth, not its answers.
func TestLostAnswersAreReadBack(t *testing.T) {
	n := newNode(t)
	n.table.kernel = lossy{n.table.conn}
	good, bad := routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Via("10.244.2.0/26", "192.0.2.1")
	res := n.apply(true, good, bad)
	n.wantList(good)
	if len(res.Failed) != 1 || !errors.Is(res.Failed[bad.Prefix], nl.ErrUnanswered) {
		t.Errorf("failed: %v, want one, ErrUnanswered", res.Failed)
	}
}

// short is a real kernel that has no memory for the first batch.
type short struct {
	kernel
	sends *int
}

func (k short) Send(n int, message func(int, []byte) []byte, refused func(int, error)) {
	if n > 0 {
		*k.sends++
	}
	if *k.sends != 1 {
		k.kernel.Send(n, message, refused)
		return
	}
	for i := range n {
		refused(i, &nl.Error{Errno: unix.ENOBUFS})
	}
}

// What the kernel could not do for a moment is tried once more by itself.
func TestPassingRefusalIsTriedAgain(t *testing.T) {
	n := newNode(t)
	var sends int
	n.table.kernel = short{n.table.conn, &sends}
	n.install(routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Blackhole("10.244.2.0/26"))
	n.wantKernel("10.244.1.0/26 via 10.2.0.11 dev eth0 metric 1700", "blackhole 10.244.2.0/26 metric 1700")
	if sends != 2 {
		t.Errorf("%d batches were sent, want the refused one and another", sends)
	}
}

// thief is a real kernel in which someone removes all that was written.
type thief struct{ kernel }

func (k thief) Send(n int, message func(int, []byte) []byte, refused func(int, error)) {
	k.kernel.Send(n, message, refused)
	k.kernel.Send(n, func(i int, b []byte) []byte {
		after := message(i, b)
		header := after[len(b):]
		binary.NativeEndian.PutUint16(header[4:], unix.RTM_DELROUTE)
		binary.NativeEndian.PutUint16(header[6:], unix.NLM_F_REQUEST)
		return after
	}, func(int, error) {})
}

func TestWhatVanishesIsNotInstalled(t *testing.T) {
	n := newNode(t)
	n.table.kernel = thief{n.table.conn}
	r := routetest.Blackhole("10.244.1.0/26")
	res := n.apply(true, r)
	n.wantList()
	if !errors.Is(res.Failed[r.Prefix], ErrVanished) {
		t.Errorf("failed: %v, want ErrVanished", res.Failed)
	}
}

// double is a real kernel whose interrupted listing tells each route also as it
// was before: what looks like a surplus is all that there is.
type double struct{ kernel }

func (k double) Scan(family uint8, start func() (visit func(*nl.Route))) error {
	err := k.kernel.Scan(family, func() func(*nl.Route) {
		visit := start()
		return func(r *nl.Route) {
			was := r.Clone()
			if len(was.Hops) > 0 {
				was.Hops[0].Addr = netip.MustParseAddr("10.2.0.77")
			}
			for _, told := range []*nl.Route{&was, r, r} {
				visit(told)
			}
		}
	})
	return errors.Join(err, nl.ErrInterrupted)
}

func TestInterruptedDumpRemovesNoSurplus(t *testing.T) {
	n := newNode(t)
	r := routetest.Via("10.244.1.0/26", "10.2.0.11")
	n.install(r)
	m := n.monitor()
	n.table.kernel = double{n.table.conn}
	if _, err := n.table.Apply([]dataplane.Route{r}, true); !errors.Is(err, nl.ErrInterrupted) {
		t.Errorf("error %v, want ErrInterrupted", err)
	}
	for _, line := range m.until("198.51.101.0/24") {
		if strings.HasPrefix(line, "Deleted") && strings.Contains(line, "10.244.") {
			t.Errorf("the kernel says %q", line)
		}
	}
	n.wantKernel("10.244.1.0/26 via 10.2.0.11 dev eth0 metric 1700")
}
