package dataplane

import (
	"context"
	"testing"

	"fairlead.dev/api/v1alpha1"
)

// lenient has no node check the return path, until the end of the test: while two
// nodes disagree, what comes by the underlay has its way back by the overlay.
func (s *scene) lenient(t *testing.T) {
	t.Helper()
	for _, n := range s.Nodes() {
		if n.Name == looseNode {
			continue
		}
		s.checkReturnPath(t, n.Name, false)
		t.Cleanup(func() { s.checkReturnPath(t, n.Name, true) })
	}
}

// switched changes the pools' encapsulation through all of its values under load,
// on an underlay that passes pods. No packet is lost.
func (s *scene) switched(t *testing.T) {
	s.lenient(t)
	t.Cleanup(func() { s.setEncapsulation(t, v1alpha1.EncapsulationNone) })
	l := s.start(t, pair{s.a, s.b}, pair{s.c, s.a})
	changes := []v1alpha1.Encapsulation{
		v1alpha1.EncapsulationVXLAN, v1alpha1.EncapsulationVXLANCrossSubnet,
		v1alpha1.EncapsulationVXLAN, v1alpha1.EncapsulationNone,
	}
	for _, e := range changes {
		s.encapsulate(t, e)
		l.more(t, enough)
	}
	l.stopWithoutLoss(t, len(changes))
}

// oneIsBehind changes the encapsulation while the agent of one node is stopped: it
// goes on as before, and the others with it, without a lost packet.
func (s *scene) oneIsBehind(t *testing.T) {
	const behind = "n3"
	s.lenient(t)
	t.Cleanup(func() {
		s.setEncapsulation(t, v1alpha1.EncapsulationNone)
		if p := s.agent(t, behind); !p.Running() {
			if err := p.Start(); err != nil {
				t.Error(err)
			}
		}
	})
	others := []string{"n1", "n2", "n4"}
	l := s.start(t, pair{s.a, s.c}, pair{s.c, s.a}, pair{s.d, s.c})
	changes := []v1alpha1.Encapsulation{v1alpha1.EncapsulationVXLAN, v1alpha1.EncapsulationNone}
	was := v1alpha1.EncapsulationNone
	for _, e := range changes {
		if err := s.agent(t, behind).Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.setEncapsulation(t, e)
		s.eventually(t, "the other nodes among themselves", func(ctx context.Context) error {
			for i, from := range others {
				if err := s.encapsulatedTo(ctx, e, from, others[(i+1)%len(others)]); err != nil {
					return err
				}
			}
			return s.encapsulated(ctx, was, behind)
		})
		l.more(t, enough)
		if err := s.agent(t, behind).Start(); err != nil {
			t.Fatal(err)
		}
		s.eventually(t, "all nodes", func(ctx context.Context) error { return s.encapsulated(ctx, e) })
		l.more(t, enough)
		was = e
	}
	l.stopWithoutLoss(t, 2*len(changes))
}
