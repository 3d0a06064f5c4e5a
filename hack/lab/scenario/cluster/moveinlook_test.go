package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/topology"
)

// cli builds the program that a user asks, and returns its folder.
func cli(t *testing.T) string {
	t.Helper()
	tree, err := kube.Tree()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", dir, "./cmd/fairlead")
	cmd.Dir, cmd.Env = tree, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build fairlead: %v\n%s", err, out)
	}
	return dir
}

// learnCIDRs waits for the podCIDRs, by the command of the doc.
func (m *move) learnCIDRs(t *testing.T) {
	t.Helper()
	m.eventually(t, "each Node has its podCIDRs", func(ctx context.Context) error {
		m.cidrs = map[string][]netip.Prefix{}
		out, err := m.Kubectl(ctx, "get", "nodes", "-o", "custom-columns=NAME:.metadata.name,PODCIDRS:.spec.podCIDRs")
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			fields := strings.Fields(strings.NewReplacer("[", " ", "]", " ", ",", " ").Replace(line))
			for _, text := range fields[1:] {
				if p, err := netip.ParsePrefix(text); err == nil {
					m.cidrs[fields[0]] = append(m.cidrs[fields[0]], p)
				}
			}
		}
		for _, machine := range m.Machines() {
			if got, want := len(m.cidrs[machine.Name]), len(m.Topology().Pools); got != want {
				return fmt.Errorf("%s has %d podCIDRs, want %d:\n%s", machine.Name, got, want, out)
			}
		}
		return nil
	})
}

// meet: what old and new pods of one machine see of each other. Each finds the other
// by a Service, and a new one an old one directly.
func (m *move) meet(t *testing.T, machine *cluster.Machine, fresh corev1.Pod) {
	t.Helper()
	old := m.old[machine.Name]
	for _, to := range append(m.clusterIPs(t, oldPod(machine)), at(old)...) {
		m.answers(t, podNS(t, fresh), to)
	}
	for _, to := range append(m.clusterIPs(t, app), netip.AddrPortFrom(addressOf(fresh, topology.V4), podPort)) {
		m.answers(t, podNS(t, old), to)
	}
}

// problems waits until `fairlead status` shows these and no other.
func (m *move) problems(t *testing.T, want []string) {
	t.Helper()
	m.eventually(t, fmt.Sprintf("the problems are %q", want), func(ctx context.Context) error {
		var status struct {
			Problems []struct{ Object, Condition, Reason, Message string }
		}
		err := m.fairlead(ctx, &status, "status")
		var seen []string
		for _, p := range status.Problems {
			seen = append(seen, fmt.Sprintf("%s %s %s", p.Object, p.Condition, p.Reason))
		}
		if err == nil && !slices.Equal(seen, want) {
			err = fmt.Errorf("they are %+v", status.Problems)
		}
		return err
	})
}

// block is a row of `fairlead blocks`.
type block struct {
	CIDR, Note      string
	Closed, Adopted bool
	Foreign         int64
}

// blocksBecome waits until a machine has a block for each podCIDR, as wanted.
func (m *move) blocksBecome(t *testing.T, machine *cluster.Machine, what string, is func(block) bool) {
	t.Helper()
	m.eventually(t, "blocks of "+machine.Name+" are "+what, func(ctx context.Context) error {
		var blocks []block
		err := m.fairlead(ctx, &blocks, "blocks", "--node", machine.Name)
		if err == nil && (len(blocks) != len(m.cidrs[machine.Name]) || slices.ContainsFunc(blocks, func(b block) bool { return !b.Adopted || !is(b) })) {
			err = fmt.Errorf("they are %+v", blocks)
		}
		return err
	})
}

// fairlead asks the CLI, which ends with an error, too, when not all is well.
func (m *move) fairlead(ctx context.Context, answer any, args ...string) error {
	out, err := m.Exec(ctx, topology.RoleControlPlane, m.FairleadCommand(append(args, "--output", "json")...)...)
	if out = strings.TrimSpace(out); out == "" {
		return err
	}
	return json.Unmarshal([]byte(out), answer)
}
