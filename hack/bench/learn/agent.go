package learn

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/node"
	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane/host"
	"fairlead.dev/hack/bench/rig"
)

// podRange is where all prefixes are.
const podRange = "10.0.0.0/8"

// apiServer is where none listens.
const apiServer = "https://127.0.0.1:1"

// nodeName of the agent.
const nodeName = "node"

// startAgent starts the fairlead-agent of a cluster whose API server is down: it
// does what an agent before it has remembered.
func (s *stage) startAgent(ctx context.Context, r *rig.Rig) (learner, error) {
	bin, err := r.Bin(ctx)
	if err != nil {
		return learner{}, err
	}
	run, state, conf := filepath.Join(s.dir, "run"), filepath.Join(s.dir, "state"), filepath.Join(s.dir, "conf")
	if err := remember(state); err != nil {
		return learner{}, err
	}
	kubeconfig := filepath.Join(s.dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(kubeconfigText), 0o600); err != nil {
		return learner{}, fmt.Errorf("configure the agent: %w", err)
	}
	d, err := rig.Start(s.node, nil, nil, nil, filepath.Join(bin, "fairlead-agent"),
		"--node-name", nodeName, "--kubeconfig", kubeconfig, "--run-dir", run, "--state-dir", state, "--cni-conf-dir", conf)
	if err != nil {
		return learner{}, err
	}
	s.ends.Add(d.Kill)
	return learner{pids: []int{d.PID()}, alive: d.Alive}, nil
}

const kubeconfigText = `apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "` + apiServer + `"}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
users: [{name: none, user: {}}]
current-context: none
`

// remember writes what an agent of this node would have.
func remember(dir string) error {
	boot, err := host.BootID()
	if err != nil {
		return err
	}
	machine, err := host.MachineID()
	if err != nil {
		return err
	}
	id := node.Identity{Node: nodeName, MachineID: machine, APIServer: apiServer}
	return node.NewMemory(dir, id, boot, time.Hour).Save(intent(), time.Now())
}

// intent is one session, and a range from which everything is accepted.
func intent() plan.Intent {
	return plan.Intent{
		Node: v1alpha1.BGPNode{ObjectMeta: metav1.ObjectMeta{Name: nodeName}, Spec: v1alpha1.BGPNodeSpec{
			NodeUID: "1", Addresses: []string{nodeAddress}, ASNumber: nodeASN, RouterID: nodeAddress, ListenPort: -1,
		}},
		Ranges: []v1alpha1.AddressPlanEntry{{CIDR: podRange, BlockSize: 26, PoolName: "pods", PoolUID: "2"}},
		Peers: []v1alpha1.BGPPeer{{ObjectMeta: metav1.ObjectMeta{Name: "tor", UID: "3"}, Spec: v1alpha1.BGPPeerSpec{
			Address: torAddress, ASNumber: torASN, HoldTimeSeconds: 90, ConnectRetrySeconds: 1,
		}}},
	}
}
