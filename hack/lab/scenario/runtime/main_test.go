package runtime

import (
	"context"
	"testing"
	"time"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/labtest"
	"fairlead.dev/hack/lab/topology"
)

const (
	// bound is how long anything may take, on a busy machine.
	bound = 45 * time.Second
	tick  = 50 * time.Millisecond
	// node is the one whose runtime the scenarios use, other one in its rack.
	node  = "n1"
	other = "n2"
	// port that all servers listen on.
	port = "8080"
)

// scene is a lab that scenarios share, each leaving it as it found it.
type scene struct {
	*lab.Lab
	tools tools
	// machine is the node as its own programs see it.
	machine *machine
	// far is a pod in the other rack: between it and the node are ToRs and spines.
	far lab.Pod
}

func TestRuntime(t *testing.T) {
	labtest.Root(t)
	s := &scene{tools: buildTools(t)}
	topo := topology.Default()
	topo.Racks[1].Nodes = topo.Racks[1].Nodes[:1]
	topo.Spare = movedRanges()
	s.Lab = labtest.Up(t, lab.Options{Topology: &topo})
	s.machine = s.startMachine(t, node)
	s.far = s.addPod(t, topo.Racks[1].Nodes[0].Name, "far")
	labtest.Run(t, s.Lab, nil, []labtest.Scenario{
		{Name: "containerd", Run: s.containerd},
		{Name: "cnitool and chained plugins", Run: s.chains},
		{Name: "host ports", Run: s.hostPorts},
		{Name: "bandwidth", Run: s.bandwidth},
		{Name: "a chained plugin changes the MAC", Run: s.macChanged},
		{Name: "udev", Run: s.udev},
		{Name: "moving in", Run: s.movingIn},
	})
}

// addPod adds a pod of the lab's own runtime, gone at the end of the test.
func (s *scene) addPod(t *testing.T, node, name string) lab.Pod {
	t.Helper()
	return labtest.AddPod(t, s.Lab, s.AddPod, node, name)
}

func (s *scene) eventually(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	labtest.Eventually(t, s.Lab, bound, what, try)
}

func families() []topology.Family { return []topology.Family{topology.V4, topology.V6} }
