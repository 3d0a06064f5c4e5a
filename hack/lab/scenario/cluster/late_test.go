package cluster

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/config"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
)

// TestLateAddresses installs Fairlead while the Nodes have no address and a taint,
// as under a cloud's controller, and kube-proxy makes Services by iptables.
func TestLateAddresses(t *testing.T) {
	long(t)
	s := up(t, cluster.Options{LateAddresses: true, Proxy: cluster.IPTables, Lab: lab.Options{Topology: pair()}})
	if err := s.Upgrade(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateObjects(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "an agent on each node", func(ctx context.Context) error {
		pods, err := s.Pods(ctx, config.DefaultNamespace, "app.kubernetes.io/component", "agent")
		if err == nil && len(pods) < len(s.Machines()) {
			err = fmt.Errorf("%d agents on %d nodes", len(pods), len(s.Machines()))
		}
		return err
	})
	for _, m := range s.Machines() {
		for _, a := range s.nodeObject(t, m.Name).Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				t.Errorf("%s has the address %s before it was given one", m.Name, a.Address)
			}
		}
		if err := s.GiveAddresses(t.Context(), m.Name); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.talk(t)
}
