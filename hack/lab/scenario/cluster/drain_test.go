package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// drain: an admin drains a machine, reboots it, and takes it back. Its pods are
// served by the others meanwhile, without a failed request; then it has its
// blocks again, and new pods, none with an address of another's.
func (s *scene) drain(t *testing.T) {
	const name = "moved"
	// Check makes its pods anew, a pod a machine.
	if err := s.remove(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	machine := s.last()
	pods := s.serve(t, name, 2*len(s.Machines()))
	gone := at(podsOn(pods, machine)...)
	if len(gone) == 0 {
		t.Fatalf("no pod runs on %s", machine)
	}
	before := s.blocks(t)
	if _, err := s.Kubectl(t.Context(), "drain", machine, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=90s"); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitRollout(t.Context(), "default", "deployment/"+name); err != nil {
		t.Fatal(err)
	}
	pods, err := s.Pods(t.Context(), "default", "app", name)
	if err != nil {
		t.Fatal(err)
	}
	if len(pods) != 2*len(s.Machines()) || len(podsOn(pods, machine)) > 0 {
		t.Errorf("after the drain %d pods run, of them on %s: %d", len(pods), machine, len(podsOn(pods, machine)))
	}
	ctx, use := s.use(t)
	client := podNS(t, on(t, pods, s.first()))
	s.forgotten(t, s.first(), gone)
	use.ask(ctx, "from a pod to the Service", client, s.clusterIPs(t, name)[0], rate/5)

	if err := s.PowerOff(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	booted := time.Now()
	if err := s.PowerOn(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitPods(t.Context(), machine, booted); err != nil {
		t.Fatal(err)
	}
	if err := s.settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	use.well(t, "reboot")
	if _, err := s.Kubectl(t.Context(), "uncordon", machine); err != nil {
		t.Fatal(err)
	}
	more, err := s.Serve(t.Context(), name, 4*len(s.Machines()))
	if err != nil {
		t.Fatal(err)
	}
	back := podsOn(more, machine)
	if len(back) == 0 {
		t.Fatalf("%s gets no pods after its return", machine)
	}
	// From its rack's ToR, and from another rack.
	for _, rack := range s.Topology().Racks {
		for i, tor := range rack.ToRs {
			if err := connects(t.Context(), s.ns(tor.Name), s.sources(rack, i), at(back...)); err != nil {
				t.Errorf("from %s: %v", tor.Name, err)
			}
		}
	}
	if err := connects(t.Context(), client, nil, at(back...)); err != nil {
		t.Error(err)
	}
	s.eachAddressOnce(t)
	if after := s.blocks(t); !slices.Equal(before, after) {
		t.Errorf("the blocks are %v, were %v", after, before)
	}
	use.stop(t, "return")
}

func podsOn(pods []corev1.Pod, machine string) []corev1.Pod {
	var some []corev1.Pod
	for _, pod := range pods {
		if pod.Spec.NodeName == machine {
			some = append(some, pod)
		}
	}
	return some
}

// forgotten waits until a machine's kube-proxy leads to none of these any more.
func (s *scene) forgotten(t *testing.T, machine string, endpoints []netip.AddrPort) {
	t.Helper()
	s.eventually(t, "kube-proxy of "+machine+" leads to none of the pods that are gone", func(ctx context.Context) error {
		rules, err := s.Machine(machine).Exec(ctx, "nft", "list", "ruleset")
		for _, e := range endpoints {
			if err == nil && strings.Contains(rules, e.String()) {
				err = fmt.Errorf("it leads to %s", e)
			}
		}
		return err
	})
}
