package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/bench/rig"
	"fairlead.dev/hack/bench/router"
)

// AS numbers: a rack's nodes and its ToR.
const (
	nodeASN = 65101
	torASN  = 65001
)

// wire is the link between a sender's namespace and the ToR's.
type wire struct {
	// number is 1 for our speaker and 2 for BIRD; all addresses come from it.
	number int
	node   nstest.NS
}

func (w wire) nodeAddress() netip.Addr { return netip.AddrFrom4([4]byte{172, 31, byte(w.number), 1}) }

func (w wire) torAddress() netip.Addr { return netip.AddrFrom4([4]byte{172, 31, byte(w.number), 2}) }

// prefix number i of those that this sender announces.
func (w wire) prefix(i int) netip.Prefix {
	n := 10<<24 | w.number<<22 | i<<6
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 26)
}

func (w wire) prefixes(from, count int) []netip.Prefix {
	ps := make([]netip.Prefix, count)
	for i := range ps {
		ps[i] = w.prefix(from + i)
	}
	return ps
}

// stage is a ToR with a link to each of two senders.
type stage struct {
	dir     string
	tor     nstest.NS
	wires   [2]wire
	watcher *rig.Watcher
	ends    rig.Ends
}

func newStage(ctx context.Context, r *rig.Rig) (s *stage, err error) {
	s = &stage{}
	defer func() {
		if err != nil {
			s.ends.Close()
		}
	}()
	if s.dir, err = os.MkdirTemp(r.Dir, "bgp-"); err != nil {
		return nil, fmt.Errorf("make scratch space: %w", err)
	}
	if err := os.Chmod(s.dir, 0o777); err != nil { // FRR's daemons drop root
		return nil, fmt.Errorf("make scratch space: %w", err)
	}
	tor, release, err := rig.Namespace(ctx, "tor")
	if err != nil {
		return nil, err
	}
	s.tor = tor
	s.ends.Add(release)
	for i := range s.wires {
		if s.wires[i], err = s.newWire(ctx, i+1); err != nil {
			return nil, err
		}
	}
	if s.watcher, err = rig.Watch(tor); err != nil {
		return nil, err
	}
	s.ends.Add(s.watcher.Close)
	return s, nil
}

func (s *stage) newWire(ctx context.Context, number int) (wire, error) {
	node, release, err := rig.Namespace(ctx, fmt.Sprint("sender", number))
	if err != nil {
		return wire{}, err
	}
	s.ends.Add(release)
	w := wire{number: number, node: node}
	return w, rig.Link(ctx, node, s.tor, fmt.Sprint("port", number), w.nodeAddress().String()+"/24", w.torAddress().String()+"/24")
}

// newBIRD starts a BIRD that ends with the stage.
func (s *stage) newBIRD(ctx context.Context, ns nstest.NS, name, config string) (*router.BIRD, error) {
	b, err := router.StartBIRD(ctx, ns, s.dir, name, config)
	if err != nil {
		return nil, err
	}
	s.ends.Add(b.Kill)
	return b, nil
}

// startFRR starts FRR as the ToR.
func (s *stage) startFRR(ctx context.Context) error {
	f, err := router.StartFRR(ctx, s.tor, s.dir, "frr", s.frrTor())
	if err != nil {
		return err
	}
	s.ends.Add(f.Kill)
	return nil
}
