package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/labtest"
	"fairlead.dev/hack/lab/topology"
)

// mover is the machine that moves in, and its podCIDRs as kube-controller-manager
// would have given them.
const (
	mover = "n9"
	cidr4 = "10.50.7.0/24"
	cidr6 = "fd00:50:0:7::/64"
)

// moveBound covers the half minute for which the node's block stays shut.
const moveBound = 3 * time.Minute

func movedRanges() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("10.50.0.0/16"), netip.MustParsePrefix("fd00:50::/48")}
}

// bridged is what the network before wrote: a bridge with the podCIDRs as subnets.
const bridged = `{"cniVersion": "0.4.0", "name": "before", "plugins": [{
  "type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "ipMasq": false,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}], [{"subnet": %q}]]}
}]}`

// movingIn has a node with running pods of bridge and host-local become Fairlead's:
// no packet of theirs is lost, no address is given out twice, and in the end nothing
// of the network before is left.
func (s *scene) movingIn(t *testing.T) {
	n := s.newMover(t)
	m := s.startMachine(t, mover)
	before := filepath.Join(n.CNIConfDir(), "05-before.conflist")
	write(t, before, fmt.Sprintf(bridged, cidr4, cidr6))
	for _, plugin := range []string{"bridge", "host-local"} {
		link(t, filepath.Join(s.tools.plugins, plugin), n.CNIBinDir())
	}
	c := s.startContainerd(t, m)
	s.endsWith(t, m.process, c.process)
	old := []sandbox{c.pod(t, c.podConfig("old0")), c.pod(t, c.podConfig("old1"))}
	// The way to them before BGP: a route by hand.
	for _, f := range families() {
		cidr := map[topology.Family]string{topology.V4: cidr4, topology.V6: cidr6}[f]
		s.exec(t, other, "ip", "route", "add", cidr, "via", n.Address(f).String())
	}
	var pings []*lab.Pinger
	ping := func(role string, to netip.Addr) {
		p, err := s.StartPing(t.Context(), role, to)
		if err != nil {
			t.Fatal(err)
		}
		pings = append(pings, p)
	}
	for _, pod := range old {
		for _, f := range families() {
			s.pinged(t, s.from(other), pod.address(f))
			ping(other, pod.address(f))
			ping(mover, pod.address(f))
		}
	}

	agent := s.joins(t, m)
	s.endsWith(t, agent)
	for _, f := range families() {
		s.eventually(t, "old pods are announced", func(ctx context.Context) error {
			loss, err := s.Ping(ctx, s.far.Role(), old[0].address(f), 3)
			if err == nil && loss.Lost() > 0 {
				err = errors.New(loss.String())
			}
			return err
		})
	}
	s.says(t, v1alpha1.ConditionCNIConfigured, "OtherFirst")
	// As long as it is the first, theirs are the new pods, too.
	old = append(old, c.pod(t, c.podConfig("old2")))
	if held := allocations(t, n); slices.ContainsFunc(held, func(a store.Allocation) bool { return a.Kind == store.KindPod }) {
		t.Errorf("a pod of the other network is in our store: %+v", held)
	}

	if err := os.Remove(before); err != nil {
		t.Fatal(err)
	}
	c.takes(t, `"Name":"fairlead"`)
	s.says(t, v1alpha1.ConditionAddressesAvailable, "MovingIn")
	if _, err := c.run(t.Context(), c.podConfig("early")); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a pod started while the other network may still give addresses out: %v", err)
	}
	labtest.Eventually(t, s.Lab, moveBound, "the node's blocks are open", func(context.Context) error {
		st, err := storeOf(n)
		if err == nil && slices.ContainsFunc(st.Leases, func(l store.Lease) bool { return l.Closed }) {
			err = fmt.Errorf("leases %+v", st.Leases)
		}
		return err
	})
	fresh := s.freshPods(t, c, old)
	for _, pod := range slices.Concat(old, fresh) {
		for _, f := range families() {
			s.pinged(t, s.from(s.far.Role()), pod.address(f))
		}
	}
	s.oldMeetsNew(t, m, old[0], fresh[0])
	// An agent that ends and comes back in the middle of it takes nothing for free.
	if err := killInside(t.Context(), agent); err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	s.says(t, v1alpha1.ConditionAddressesAvailable, "Available")
	fresh = append(fresh, s.freshPods(t, c, slices.Concat(old, fresh))...)
	for _, p := range pings {
		trace, err := p.Stop()
		if err != nil || trace.Lost() > 0 || trace.Sent < 100 {
			t.Errorf("pods of the network before: %v, %v", trace, err)
		}
	}
	s.leaveNothingBefore(t, m, c, old, fresh)
}

// newMover is a machine with nothing of Fairlead on it, that no pool is for but one.
func (s *scene) newMover(t *testing.T) *lab.Node {
	t.Helper()
	rack := s.Topology().Racks[0]
	n, err := s.AddMachine(t.Context(), rack.Name, mover)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.RemoveNode(context.WithoutCancel(t.Context()), mover); err != nil {
			t.Error(err)
		}
	})
	for _, dir := range []string{n.CNIBinDir(), n.CNIConfDir(), n.RunDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	only := func(op metav1.LabelSelectorOperator) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: corev1.LabelHostname, Operator: op, Values: []string{mover}}}}
	}
	var pools v1alpha1.IPPoolList
	if err := s.Client().List(t.Context(), &pools); err != nil {
		t.Fatal(err)
	}
	for i := range pools.Items {
		before := pools.Items[i].DeepCopy()
		pools.Items[i].Spec.NodeSelector = only(metav1.LabelSelectorOpNotIn)
		if err := s.Client().Patch(t.Context(), &pools.Items[i], client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
	for i, cidr := range movedRanges() {
		bits := []int32{24, 64}[i]
		s.create(t, &v1alpha1.IPPool{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("moved", i)},
			Spec:       v1alpha1.IPPoolSpec{CIDR: cidr.String(), BlockSize: &bits, Source: v1alpha1.SourceNodeSpec, NodeSelector: only(metav1.LabelSelectorOpIn)},
		})
	}
	// Last: as soon as it is there, it is leased what a pool has for it.
	object, err := lab.NodeObject(s.Topology(), mover)
	if err != nil {
		t.Fatal(err)
	}
	object.Spec.PodCIDRs, object.Spec.PodCIDR = []string{cidr4, cidr6}, cidr4
	s.create(t, object)
	return n
}
