package cluster

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/labtest"
	"fairlead.dev/hack/lab/topology"
)

// bound is how long anything may take, on a busy machine.
const bound = 90 * time.Second

// scene is a cluster that scenarios share, each leaving it as it found it.
type scene struct{ *cluster.Cluster }

// TestCluster has two nodes in a rack and one in another, Fairlead by Helm.
func TestCluster(t *testing.T) {
	long(t)
	s := up(t, cluster.Options{Lab: lab.Options{Topology: three()}})
	if err := s.Install(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	labtest.Run(t, s.Lab, s.settled, []labtest.Scenario{
		{Name: "nodes", Run: s.nodes},
		{Name: "pods talk", Run: s.talk},
		{Name: "many pods", Run: s.many},
		{Name: "upgrade", Run: s.upgrade},
		{Name: "drain", Run: s.drain},
		{Name: "services", Run: s.services},
		{Name: "outage", Run: s.outage},
		{Name: "reboot", Run: s.reboot},
	})
}

// three is two nodes in a rack and one in another, with a ToR of each kind.
func three() *topology.Topology {
	topo := topology.Default()
	topo.Racks[1].Nodes = topo.Racks[1].Nodes[:1]
	return &topo
}

// pair is one node in each of two racks, with a ToR of each kind.
func pair() *topology.Topology {
	topo := topology.Default()
	for i := range topo.Racks {
		topo.Racks[i].Nodes = topo.Racks[i].Nodes[:1]
	}
	return &topo
}

// up brings a cluster up for the test, gone at its end, after its state was logged
// if the test failed. A process of the lab that ended by itself fails the test.
func up(t *testing.T, opts cluster.Options) *scene {
	t.Helper()
	labtest.Root(t)
	opts.Image = image(t)
	opts.Lab.Log, opts.Lab.Diagnosis = slog.New(slog.NewTextHandler(t.Output(), nil)), t.Output()
	start := time.Now()
	c, err := cluster.Up(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cluster %s is up after %v", c.Instance, time.Since(start).Round(time.Millisecond))
	t.Cleanup(func() { labtest.NothingLeft(t, c.Instance) }) // after its end
	labtest.End(t, c)
	return &scene{c}
}

// settled waits until the cluster is as every scenario finds it.
func (s *scene) settled(ctx context.Context) error {
	if err := s.WaitReady(ctx); err != nil {
		return err
	}
	return s.WaitRoutes(ctx)
}

func (s *scene) eventually(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	labtest.Eventually(t, s.Lab, bound, what, try)
}
