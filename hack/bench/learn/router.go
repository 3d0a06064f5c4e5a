package learn

import (
	"context"
	"fmt"

	"fairlead.dev/hack/bench/router"
)

func (s *stage) startBIRD(ctx context.Context) (learner, error) {
	b, err := router.StartBIRD(ctx, s.node, s.dir, "node", fmt.Sprintf(`router id %s;
protocol device {}
protocol kernel { ipv4 { export all; }; }
protocol bgp tor {
  local as %d; neighbor %s as %d; hold time 90; connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import all; export none; };
}
`, nodeAddress, nodeASN, torAddress, torASN))
	if err != nil {
		return learner{}, err
	}
	s.ends.Add(b.Kill)
	return learner{pids: b.PIDs(), alive: b.Alive}, nil
}

func (s *stage) startFRR(ctx context.Context) (learner, error) {
	f, err := router.StartFRR(ctx, s.node, s.dir, "node", fmt.Sprintf(`router bgp %d
 bgp router-id %s
 no bgp ebgp-requires-policy
 neighbor %s remote-as %d
 neighbor %s timers 30 90
 neighbor %s timers connect 1
`, nodeASN, nodeAddress, torAddress, torASN, torAddress, torAddress))
	if err != nil {
		return learner{}, err
	}
	s.ends.Add(f.Kill)
	return learner{pids: f.PIDs(), alive: f.Alive}, nil
}
