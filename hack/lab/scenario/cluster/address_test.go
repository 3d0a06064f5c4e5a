package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
)

// eachAddressOnce waits until the addresses that the machines' kernels lead to
// pods are those that the API tells of, each on the machine of its pod alone.
func (s *scene) eachAddressOnce(t *testing.T) {
	t.Helper()
	s.eventually(t, "each pod's address is on its own machine, once", func(ctx context.Context) error {
		told, err := s.podsAddresses(ctx)
		if err != nil {
			return err
		}
		led, err := s.podRoutes(ctx)
		if err != nil {
			return err
		}
		if d := cmp.Diff(told, led); d != "" {
			return fmt.Errorf("addresses and their machines, (-API +kernels): %s", d)
		}
		return nil
	})
}

// podsAddresses are the machines of all pods' addresses, as the API tells.
func (s *scene) podsAddresses(ctx context.Context) (map[string][]string, error) {
	var list corev1.PodList
	if err := s.Client().List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	on := map[string][]string{}
	for _, pod := range list.Items {
		if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, a := range cluster.AddressesOf(pod) {
			on[a.String()] = append(on[a.String()], pod.Spec.NodeName)
		}
	}
	return on, nil
}

// podRoutes are the machines of all addresses to which the plugin has made a route.
func (s *scene) podRoutes(ctx context.Context) (map[string][]string, error) {
	on := map[string][]string{}
	for _, m := range s.Machines() {
		for _, f := range s.Topology().Families() {
			routes, err := s.KernelRoutes(ctx, m.Name, f)
			if err != nil {
				return nil, err
			}
			for _, r := range routes {
				if r.Protocol == lab.PluginProtocol() && r.Prefix.IsSingleIP() {
					on[r.Prefix.Addr().String()] = append(on[r.Prefix.Addr().String()], m.Name)
				}
			}
		}
	}
	return on, nil
}

// blocks of all nodes.
func (s *scene) blocks(t *testing.T) []netip.Prefix {
	t.Helper()
	leased, err := s.Blocks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []netip.Prefix
	for _, b := range leased {
		all = append(all, b)
	}
	if want := len(s.Machines()) * len(s.Topology().Pools); len(all) < want {
		t.Fatalf("the nodes have the blocks %v, want %d", leased, want)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return all
}
