package resilience

import (
	"context"
	"fmt"
	"testing"
	"time"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// holdTime is what the lab's sessions agree on.
const holdTime = 9 * time.Second

// crossing are pairs of all pods of one rack with all of the other, so that every
// way through the fabric is likely to be somebody's.
func (s *scene) crossing() []pair {
	return []pair{{s.a, s.c}, {s.a, s.d}, {s.b, s.c}, {s.b, s.d}}
}

// routersRestart kills a ToR's routing daemon of each kind. Its neighbours see
// the connections close, so that traffic goes on by the other ToR soon.
func (s *scene) routersRestart(t *testing.T) {
	before := s.settled(t, true)
	for _, tc := range []struct{ router, process string }{
		{"r1-tor1", "r1-tor1-bgpd"},
		{"r1-tor2", "r1-tor2-bird"},
	} {
		t.Run(tc.process, func(t *testing.T) {
			p, err := s.Process(tc.process)
			if err != nil {
				t.Fatal(err)
			}
			traffic := s.start(t, nil, append(s.crossing(), pair{s.a, s.b})...)
			if err := p.Kill9(t.Context()); err != nil {
				t.Fatal(err)
			}
			took := s.eventually(t, holdTime, "the other ToR alone", func(ctx context.Context) error { return s.avoids(ctx, tc.router) })
			t.Logf("nodes go by the other ToR %v after the end of %s", took.Round(10*time.Millisecond), tc.process)
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			took = s.returns(t, before, true)
			t.Logf("same state %v after its start", took.Round(10*time.Millisecond))
			traffic.stopWithGaps(t, tc.process+" killed", 3*time.Second)
		})
	}
}

// avoids is nil once no node of a ToR's rack has a route by it.
func (s *scene) avoids(ctx context.Context, tor string) error {
	for _, rack := range s.Topology().Racks {
		for i, router := range rack.ToRs {
			if router.Name != tor {
				continue
			}
			for _, n := range rack.Nodes {
				for _, f := range families() {
					if err := s.avoidsHop(ctx, n.Name, rack.ToRAddress(f, i).String(), f); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// stopWithGaps ends the pings and tells what was lost; no silence with loss may
// be longer than allowed.
func (tr *traffic) stopWithGaps(t *testing.T, when string, allowed time.Duration) {
	t.Helper()
	traces := tr.stop(t)
	gone, sent := lost(traces)
	longest, which := worst(traces)
	t.Logf("%s: lost %d of %d packets on %d flows; the longest silence is %v (%s)", when, gone, sent, len(traces), longest, which)
	if longest > allowed {
		t.Errorf("%s: a silence of %v, allowed are %v: %s", when, longest, allowed, describe(traces))
	}
}

func describe(traces map[string]lab.Trace) string {
	var text string
	for name, trace := range traces {
		if trace.Lost() != 0 {
			text += fmt.Sprintf("\n%s: %v", name, trace)
		}
	}
	return text
}

// reconnect is how long sessions may take to be back when their cable is: both
// sides pause after a session that failed, BIRD for up to 5 s.
const reconnect = 15 * time.Second

// cablesCut takes the carrier off a node, which has no other, and off a ToR, beside
// which there is another. The first is about as long as sessions live without a
// word: BIRD's hold timers have a jitter of a quarter (RFC 4271 section 10).
func (s *scene) cablesCut(t *testing.T) {
	before := s.settled(t, true)
	t.Run("node, 5 s", func(t *testing.T) {
		const cut = 5 * time.Second
		traffic := s.start(t, nil, append(s.crossing(), pair{s.a, s.b})...)
		s.cut(t, "n2")
		s.always(t, cut, "n2 is cut off", func(ctx context.Context) error {
			loss, err := s.Ping(ctx, s.a.Role(), s.b.Address(topology.V4), 1)
			if err == nil && loss.Received != 0 {
				err = fmt.Errorf("it answers")
			}
			return err
		})
		if err := s.MendCable(t.Context(), "n2"); err != nil {
			t.Fatal(err)
		}
		took := s.returns(t, before, true)
		s.answeredAll(t, append(s.crossing(), pair{s.a, s.b}))
		t.Logf("same state %v after it was mended", took.Round(10*time.Millisecond))
		traffic.stopWithGaps(t, "cable of a node cut for 5 s", cut+time.Second+reconnect)
	})
	t.Run("ToR, beyond the hold time", func(t *testing.T) {
		traffic := s.start(t, nil, append(s.crossing(), pair{s.a, s.b})...)
		s.cut(t, "r1-tor1")
		took := s.eventually(t, bound, "the other ToR alone", func(ctx context.Context) error { return s.avoids(ctx, "r1-tor1") })
		t.Logf("nodes go by the other ToR %v after the cut", took.Round(10*time.Millisecond))
		if took > holdTime+3*time.Second {
			t.Errorf("nodes went by the other ToR after %v only", took)
		}
		s.answeredAll(t, s.crossing())
		if err := s.MendCable(t.Context(), "r1-tor1"); err != nil {
			t.Fatal(err)
		}
		took = s.returns(t, before, true)
		t.Logf("same state %v after it was mended", took.Round(10*time.Millisecond))
		traffic.stopWithGaps(t, "cable of a ToR cut", holdTime+3*time.Second)
	})
}

// cut cuts a cable until the test mends it, or ends.
func (s *scene) cut(t *testing.T, role string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := s.MendCable(ctx, role); err != nil {
			t.Error(err)
		}
	})
	if err := s.CutCable(ctx, role); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) answeredAll(t *testing.T, pairs []pair) {
	t.Helper()
	for _, p := range pairs {
		for _, f := range families() {
			s.answered(t, p, f)
		}
	}
}
