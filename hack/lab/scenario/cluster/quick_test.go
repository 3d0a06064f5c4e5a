package cluster

import (
	"testing"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/labtest"
)

// TestQuick is the part of it all that every run of the tests has time for: a node
// in each of two racks, Fairlead by Helm, pods that talk.
func TestQuick(t *testing.T) {
	s := up(t, cluster.Options{Lab: lab.Options{Topology: pair()}})
	if err := s.Install(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	labtest.Run(t, s.Lab, s.settled, []labtest.Scenario{
		{Name: "nodes", Run: s.nodes},
		{Name: "pods talk", Run: s.talk},
	})
}

// long is for what takes minutes: make test-cluster runs it.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes minutes: make test-cluster runs it")
	}
}
