package learn

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/bench/rig"
	"fairlead.dev/hack/bench/router"
)

// AS numbers of the node and its ToR, and their addresses.
const (
	nodeASN     = 65101
	torASN      = 65001
	nodeAddress = "172.31.0.1"
	torAddress  = "172.31.0.2"
)

// base is announced from the start: its coming shows that the session is up.
const base = "10.255.255.192/26"

// many is the name under which the ToR has the rest, until it is told.
const many = "routes_many"

// stage is a ToR and a node, with a link between them.
type stage struct {
	dir      string
	tor      *router.BIRD
	node     nstest.NS
	tally    *rig.Tally
	ends     rig.Ends
	torSpace nstest.NS
}

func newStage(ctx context.Context, r *rig.Rig, prefixes []netip.Prefix) (s *stage, err error) {
	s = &stage{}
	defer func() {
		if err != nil {
			s.ends.Close()
		}
	}()
	if s.dir, err = os.MkdirTemp(r.Dir, "learn-"); err != nil {
		return nil, fmt.Errorf("make scratch space: %w", err)
	}
	s.ends.Add(func() { _ = os.RemoveAll(s.dir) }) // or Rig.Close does
	if err := os.Chmod(s.dir, 0o777); err != nil { // FRR's daemons drop root
		return nil, fmt.Errorf("make scratch space: %w", err)
	}
	if err := s.lay(ctx); err != nil {
		return nil, err
	}
	if s.tally, err = rig.Count(s.node); err != nil {
		return nil, err
	}
	s.ends.Add(s.tally.Close)
	if s.tor, err = router.StartBIRD(ctx, s.torSpace, s.dir, "tor", torConfig(prefixes)); err != nil {
		return nil, err
	}
	s.ends.Add(s.tor.Kill)
	return s, nil
}

// lay makes the namespaces and the link.
func (s *stage) lay(ctx context.Context) error {
	for _, v := range []struct {
		role string
		ns   *nstest.NS
	}{{"tor", &s.torSpace}, {"node", &s.node}} {
		ns, release, err := rig.Namespace(ctx, v.role)
		if err != nil {
			return err
		}
		*v.ns = ns
		s.ends.Add(release)
	}
	return rig.Link(ctx, s.node, s.torSpace, "port", nodeAddress+"/24", torAddress+"/24")
}

// torConfig is a BIRD that waits for the node and has none of the routes in its
// own kernel.
func torConfig(prefixes []netip.Prefix) string {
	var b strings.Builder
	fmt.Fprintf(&b, `router id %s;
protocol device {}
protocol bgp node {
  local as %d; neighbor %s as %d; passive; hold time 90;
  ipv4 { import none; export all; };
}
protocol static routes_base { ipv4; route %s blackhole; }
protocol static %s { ipv4; disabled;
`, torAddress, torASN, nodeAddress, nodeASN, base, many)
	for _, p := range prefixes {
		fmt.Fprintf(&b, "  route %s blackhole;\n", p)
	}
	b.WriteString("}\n")
	return b.String()
}
