package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/hack/lab/topology"
)

// Node is a machine that runs pods: a namespace with an agent in it.
type Node struct {
	Name string
	lab  *Lab
}

// Node is a node by name. If there is none of that name, everything asked of it
// is an error.
func (l *Lab) Node(name string) *Node { return &Node{Name: name, lab: l} }

// Nodes are all nodes, rack by rack.
func (l *Lab) Nodes() []*Node {
	var ns []*Node
	for _, n := range l.Topology().Nodes() {
		ns = append(ns, l.Node(n.Name))
	}
	return ns
}

// Address of the node in its rack; invalid if it has none of the family.
func (n *Node) Address(f topology.Family) netip.Addr {
	rack, node, err := n.lab.Topology().Node(n.Name)
	if err != nil {
		return netip.Addr{}
	}
	return rack.NodeAddress(f, node)
}

// Exec runs a short command in the node's namespace.
func (n *Node) Exec(ctx context.Context, argv ...string) (string, error) {
	return n.lab.Exec(ctx, n.Name, argv...)
}

// Agent is the agent's process, to kill, stop and start.
func (n *Node) Agent() (*Process, error) { return n.lab.processes.get(agentProcess(n.Name)) }

// RunDir is where the agent keeps its address store and its socket.
func (n *Node) RunDir() string { return n.path("run") }

// StateDir is where the agent keeps what outlives a reboot.
func (n *Node) StateDir() string { return n.path("state") }

// CNIConfDir is where the container runtime looks for CNI configuration.
func (n *Node) CNIConfDir() string { return n.path("cni", "net.d") }

// CNIBinDir is where the container runtime looks for CNI plugins.
func (n *Node) CNIBinDir() string { return n.path("cni", "bin") }

// InstallCNI puts the plugins in place, as the init container does. Their
// configuration is the agent's to write.
func (n *Node) InstallCNI(ctx context.Context) error {
	_, err := n.Exec(ctx, append([]string{n.lab.program(programAgent), "install-cni"}, n.settings()...)...)
	return err
}

// Cleanup takes Fairlead off the node; its error has what the agent said.
func (n *Node) Cleanup(ctx context.Context) error {
	_, err := n.Exec(ctx, append([]string{n.lab.program(programAgent), "cleanup"}, n.settings()...)...)
	return err
}

func (n *Node) path(elements ...string) string {
	return n.lab.path(append([]string{"nodes", n.Name}, elements...)...)
}

func agentProcess(node string) string { return node + "-agent" }

// settings of the agent, all places of which are the node's own: nodes share the
// machine's file system.
func (n *Node) settings() []string {
	return append([]string{
		"--node-name", n.Name, "--kubeconfig", n.path("kubeconfig"),
		"--run-dir", n.RunDir(), "--state-dir", n.StateDir(),
		"--cni-bin-dir", n.CNIBinDir(), "--cni-conf-dir", n.CNIConfDir(),
		"--health-address", "127.0.0.1:9471", "--metrics-address", "127.0.0.1:9470",
	}, n.lab.opts.AgentArgs...)
}

// startNode does what kubelet and DaemonSet do on a machine that joins.
func (l *Lab) startNode(ctx context.Context, name string) error {
	n := l.Node(name)
	for _, dir := range []string{n.RunDir(), n.StateDir(), n.CNIBinDir(), n.CNIConfDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("start node %s: %w", name, err)
		}
	}
	if err := l.createNode(ctx, name); err != nil {
		return err
	}
	if err := l.writeTokenConfig(ctx, n.path("kubeconfig"), programAgent, name); err != nil {
		return err
	}
	if err := n.InstallCNI(ctx); err != nil {
		return fmt.Errorf("start node %s: %w", name, err)
	}
	argv := append([]string{l.program(programAgent)}, n.settings()...)
	_, err := l.processes.start(agentProcess(name), nil, enter(l.NSName(name), argv...)...)
	return err
}

// AddNode brings one more node into a rack while everything runs. It returns when
// its agent is started; WaitConverged waits for its routes. No router is touched.
func (l *Lab) AddNode(ctx context.Context, rack, name string) (*Node, error) {
	n, err := l.AddMachine(ctx, rack, name)
	if err != nil || l.opts.NetworkOnly {
		return n, err
	}
	return n, l.startNode(ctx, name)
}

// AddMachine is AddNode of a machine on which nothing of Fairlead runs or ever
// ran, until JoinNode.
func (l *Lab) AddMachine(ctx context.Context, rack, name string) (*Node, error) {
	topo, err := l.Topology().WithNode(rack, name)
	if err != nil {
		return nil, err
	}
	for _, r := range topo.Racks {
		for _, tor := range r.ToRs {
			if r.Name == rack && tor.DialsNodes {
				return nil, fmt.Errorf("add node %s: %s is configured for each node by name", name, tor.Name)
			}
		}
	}
	wiring, err := topo.NodeWiring(name, l.NSName)
	if err != nil {
		return nil, err
	}
	if err := l.setTopology(topo); err != nil {
		return nil, err
	}
	if err := l.lay(ctx, wiring); err != nil {
		return nil, fmt.Errorf("add node %s: %w", name, err)
	}
	return l.Node(name), nil
}

// JoinNode makes a machine of AddMachine a node, as AddNode would have.
func (l *Lab) JoinNode(ctx context.Context, name string) error { return l.startNode(ctx, name) }

// RemoveNode takes a machine away, as if its power went, with its pods, and
// deletes its Node.
func (l *Lab) RemoveNode(ctx context.Context, name string) error {
	if _, _, err := l.Topology().Node(name); err != nil {
		return err
	}
	errs := []error{l.PowerOff(ctx, name)}
	if l.cluster != nil {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		errs = append(errs, client.IgnoreNotFound(l.cluster.client.Delete(ctx, node)))
	}
	errs = append(errs, os.RemoveAll(l.Node(name).path()), l.setTopology(l.Topology().WithoutNode(name)))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove node %s: %w", name, err)
	}
	return nil
}

func (l *Lab) setTopology(topo topology.Topology) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.topo = topo
	return l.saveLocked()
}
