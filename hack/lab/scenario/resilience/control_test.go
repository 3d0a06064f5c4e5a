package resilience

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// pairs that between them cross a rack, a segment and the spines, both ways.
func (s *scene) pairs() []pair {
	return []pair{{s.a, s.b}, {s.a, s.c}, {s.b, s.d}, {s.c, s.d}, {s.d, s.a}}
}

// controlPlaneRestarts kills what Kubernetes is made of. No packet needs any of it.
func (s *scene) controlPlaneRestarts(t *testing.T) {
	plane := s.ControlPlane()
	before := s.settled(t, true)
	blocks := s.blocksOf(t, "n1", "n2", "n3", "n4")
	for _, tc := range []struct {
		name  string
		kill  func() error
		start func(context.Context) error
	}{
		{"API server", plane.KillAPIServer, plane.StartAPIServer},
		{"etcd", plane.KillEtcd, plane.StartEtcd},
	} {
		t.Run(tc.name, func(t *testing.T) {
			traffic := s.start(t, s.others(), s.pairs()...)
			s.outage(t, tc.kill)
			routes := s.routes(t)
			s.always(t, 2*time.Second, "routes without "+tc.name, func(ctx context.Context) error { return s.routesAre(ctx, routes) })
			if err := tc.start(t.Context()); err != nil {
				t.Fatal(err)
			}
			took := s.returns(t, before, true)
			t.Logf("same state %v after the start", took.Round(10*time.Millisecond))
			s.outageEnds(t)
			traffic.stopWithoutLoss(t, tc.name+" killed")
			traffic.assertKept(t, tc.name+" killed", blocks)
		})
	}
}

// outage does what keeps the controller from the API server. One that so cannot
// renew its lease ends, for its Deployment to start it again.
func (s *scene) outage(t *testing.T, begin func() error) {
	t.Helper()
	controller, err := s.Controller()
	if err != nil {
		t.Fatal(err)
	}
	if err := controller.MayEnd(true); err != nil {
		t.Fatal(err)
	}
	s.excused = true
	if err := begin(); err != nil {
		t.Fatal(err)
	}
}

// outageEnds waits until there is a controller that works, and not only one that
// stands still.
func (s *scene) outageEnds(t *testing.T) {
	t.Helper()
	s.leaseProbe(t)
	s.excused = false
	controller, err := s.Controller()
	if err != nil {
		t.Fatal(err)
	}
	if err := controller.MayEnd(false); err != nil {
		t.Fatal(err)
	}
}

// playKubelet starts an excused controller that has ended.
func (s *scene) playKubelet(t *testing.T) {
	t.Helper()
	if !s.excused || len(s.ControlPlane().PIDs()) < 2 {
		return
	}
	controller, err := s.Controller()
	if err != nil || controller.Running() {
		return
	}
	if err := controller.Start(); err != nil {
		t.Fatal(err)
	}
	if err := controller.MayEnd(true); err != nil {
		t.Fatal(err)
	}
}

// routes of all routers and nodes: what needs no API server to read.
func (s *scene) routes(t *testing.T) []string {
	t.Helper()
	rib, err := s.ribLines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := s.kernelLines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sorted(append(rib, kernel...))
}

func (s *scene) routesAre(ctx context.Context, want []string) error {
	rib, err := s.ribLines(ctx)
	if err != nil {
		return err
	}
	kernel, err := s.kernelLines(ctx)
	if err != nil {
		return err
	}
	if d := cmp.Diff(want, sorted(append(rib, kernel...))); d != "" {
		return fmt.Errorf("(-want +got):\n%s", d)
	}
	return nil
}

// probe is a Node without a machine.
const probe = "probe"

// leaseProbe registers a Node, waits until blocks are leased to this very Node,
// and deletes it: what needs a leading controller.
func (s *scene) leaseProbe(t *testing.T) {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: probe}}
	if err := s.Client().Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, bound, "blocks of a new Node", func(ctx context.Context) error {
		blocks, err := s.leasedTo(ctx, probe)
		if err != nil {
			return err
		}
		for _, b := range blocks {
			if b.Spec.NodeUID != string(node.UID) {
				return fmt.Errorf("%s belongs to the Node of before", b.Name)
			}
		}
		if want := len(s.Topology().Pools); len(blocks) != want {
			return fmt.Errorf("%d blocks, want %d", len(blocks), want)
		}
		return nil
	})
	if err := s.Client().Delete(t.Context(), node); err != nil {
		t.Fatal(err)
	}
}

// blocksGone waits until a Node that is gone has no block any more.
func (s *scene) blocksGone(t *testing.T, node string) time.Duration {
	t.Helper()
	return s.eventually(t, bound, "blocks of "+node+" are taken back", func(ctx context.Context) error {
		blocks, err := s.leasedTo(ctx, node)
		if err == nil && len(blocks) != 0 {
			err = fmt.Errorf("%s is %s until %v", blocks[0].Name, blocks[0].Spec.State, blocks[0].Spec.CoolingUntil)
		}
		return err
	})
}

// leasedTo are the IPBlocks of a node, whatever their state.
func (s *scene) leasedTo(ctx context.Context, node string) ([]v1alpha1.IPBlock, error) {
	var list v1alpha1.IPBlockList
	if err := s.Client().List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list blocks: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(b v1alpha1.IPBlock) bool { return b.Spec.NodeName != node }), nil
}

// leaderKilled has a second controller take over from the first, and the first,
// started again, from the second. Leases and traffic do not notice.
func (s *scene) leaderKilled(t *testing.T) {
	before := s.settled(t, true)
	traffic := s.start(t, s.others(), s.pairs()...)
	second, err := s.AddController("controller-2")
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.Controller()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Kill9(t.Context()); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	s.leaseProbe(t)
	took := time.Since(killed)
	t.Logf("the second controller leases %v after the first was killed", took.Round(100*time.Millisecond))
	// A lease of 15 s, tried for each 2 s with jitter, and the work itself.
	if took > 25*time.Second {
		t.Errorf("the second controller took %v", took)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveController(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	s.leaseProbe(t) // by the first, which leads again
	s.returns(t, before, true)
	traffic.stopWithoutLoss(t, "leader killed")
	traffic.assertKept(t, "leader killed", s.blocksOf(t, "n1", "n2", "n3", "n4"))
}
