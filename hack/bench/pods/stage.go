package pods

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/kubernetes"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/bench/rig"
	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/topology"
)

// referenceDir is where Debian has the reference plugins.
const referenceDir = "/usr/lib/cni"

// side is a node, and where its container runtime keeps the results of plugins.
type side struct {
	name, node, results string
	ns                  nstest.NS
}

// stage is a cluster with a node of each side in one rack, and a probe on its ToR.
type stage struct {
	*cluster.Cluster
	client  *kubernetes.Clientset
	sides   [2]side
	probe   *probe
	batches int
	log     func(format string, args ...any)
}

// plan is one rack with one ToR and two nodes.
func plan() topology.Topology {
	t := topology.Default().Only(topology.V4)
	t.Racks, t.Spines = t.Racks[:1], t.Spines[:1]
	t.Racks[0].ToRs = t.Racks[0].ToRs[:1]
	return t
}

// theirPods is the range of the node that we do not serve.
const theirPods = "10.245.0.0/24"

func newStage(ctx context.Context, r *rig.Rig) (s *stage, err error) {
	opts, err := r.LabOptions(ctx)
	if err != nil {
		return nil, err
	}
	topo := plan()
	opts.Topology = &topo
	r.Note("bringing a cluster of real nodes up")
	s = &stage{log: r.Note}
	if s.Cluster, err = cluster.Up(ctx, cluster.Options{Lab: opts}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Diagnose(context.WithoutCancel(ctx), r.Log)
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	for i, m := range s.Machines() {
		s.sides[i] = side{[]string{"fairlead", peer}[i], m.Name, m.Disk("var/lib/cni/results"), nstest.NS{Name: s.NSName(m.Name)}}
	}
	if s.client, err = kubernetes.NewForConfig(s.AdminConfig()); err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	if s.probe, err = newProbe(nstest.NS{Name: s.NSName(topo.Racks[0].ToRs[0].Name)}); err != nil {
		return nil, err
	}
	if err := s.network(ctx); err != nil {
		return nil, err
	}
	return s, s.warmUp(ctx)
}

func (s *stage) close(ctx context.Context) error {
	var err error
	if s.probe != nil {
		err = s.probe.close()
	}
	return errors.Join(err, s.Down(ctx))
}

// network gives the first node Fairlead, by its chart, and the second one the
// reference, with the route that an operator then writes on the ToR by hand.
func (s *stage) network(ctx context.Context) error {
	theirs := s.Machine(s.sides[1].node)
	if err := configure(theirs); err != nil {
		return err
	}
	tor := s.Topology().Racks[0].ToRs[0].Name
	if _, err := s.Exec(ctx, tor, "ip", "route", "add", theirPods, "via", theirs.Address(topology.V4).String()); err != nil {
		return err
	}
	err := s.Upgrade(ctx, map[string]any{
		"agent": map[string]any{"nodeSelector": map[string]any{"kubernetes.io/hostname": s.sides[0].node}},
	})
	if err != nil {
		return err
	}
	if err := s.CreateObjects(ctx); err != nil {
		return err
	}
	if err := s.WaitReady(ctx); err != nil {
		return err
	}
	return s.WaitRollout(ctx, "kube-system", "deployment/coredns")
}

// configure gives a machine the reference plugins of Debian, as they are usually
// configured where the network between nodes is routed.
func configure(m *cluster.Machine) error {
	for _, name := range []string{"bridge", "host-local", "portmap"} {
		data, err := os.ReadFile(filepath.Join(referenceDir, name))
		if err != nil {
			return fmt.Errorf("reference plugins (Debian: containernetworking-plugins): %w", err)
		}
		if err := os.WriteFile(m.Disk("opt/cni/bin/"+name), data, 0o755); err != nil {
			return fmt.Errorf("install %s: %w", name, err)
		}
	}
	conflist, err := json.Marshal(map[string]any{"cniVersion": "1.0.0", "name": "reference", "plugins": []any{
		map[string]any{
			"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
			"ipam": map[string]any{
				"type":   "host-local",
				"ranges": []any{[]any{map[string]any{"subnet": theirPods}}},
				"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
			},
		},
		map[string]any{"type": "portmap", "capabilities": map[string]any{"portMappings": true}},
	}})
	if err != nil {
		return fmt.Errorf("configure the reference: %w", err)
	}
	// Read as soon as it is there: it comes in one piece, and after the programs.
	file := m.Disk("etc/cni/net.d/10-reference.conflist")
	if err := os.WriteFile(file+".new", conflist, 0o644); err != nil {
		return fmt.Errorf("configure the reference: %w", err)
	}
	return os.Rename(file+".new", file)
}

// warmUp has a pod on either side, so that the network of both is known to work
// and nothing of what follows is a first time.
func (s *stage) warmUp(ctx context.Context) error {
	_, _, err := s.race(ctx, 1, 1)
	return err
}
