package runtime

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"fairlead.dev/hack/lab/topology"
)

// parallel is how many sandboxes come and go at once.
const parallel = 20

// containerd has a real container runtime make pods through our configuration.
func (s *scene) containerd(t *testing.T) {
	c := s.startContainerd(t, s.machine)
	t.Log(c.version(t))
	// Plugins keep what they share once a pod wanted it.
	for _, backend := range backends() {
		c.with(t, backend, func() { c.gone(t, c.pod(t, c.wishful("first-"+backend))) })
	}
	before := s.machine.traces(t)
	for _, scenario := range []struct {
		name string
		run  func(*scene, *testing.T, *containerd)
	}{
		{"a pod", (*scene).podOfContainerd},
		{"many at once", (*scene).manyPods},
		{"killed and started again", (*scene).containerdKilled},
		{"without an agent", (*scene).withoutAgent},
		{"host ports", (*scene).hostPortsOfContainerd},
		{"bandwidth", (*scene).bandwidthOfContainerd},
	} {
		t.Run(scenario.name, func(t *testing.T) { scenario.run(s, t, c) })
		s.machine.leavesNothing(t, before)
	}
}

// wishful is a pod that wants something of each plugin in the chain.
func (c *containerd) wishful(name string) podConfig {
	config := c.podConfig(name)
	config.Ports = []hostPort{{"TCP", 8080, 30080}, {"UDP", 8080, 30080}}
	config.Annotations = map[string]string{
		"kubernetes.io/ingress-bandwidth": "100M", "kubernetes.io/egress-bandwidth": "100M",
	}
	return config
}

// podOfContainerd is reached in both families and both ways through ToRs and
// spines, and has the addresses that the store gave it.
func (s *scene) podOfContainerd(t *testing.T, c *containerd) {
	pod := c.pod(t, c.podConfig("pod"))
	var held []netip.Addr
	for _, a := range allocations(t, s.Node(node)) {
		if a.ContainerID == pod.id {
			held = append(held, a.Address)
		}
	}
	slices.SortFunc(held, netip.Addr.Compare)
	if len(held) != len(families()) || !slices.Equal(held, pod.addrs) {
		t.Errorf("containerd says %v, the store %v, want the same of each family", pod.addrs, held)
	}
	s.reachable(t, "pod", pod.netns, pod.address)
	for _, f := range families() {
		s.pinged(t, s.machine.from("pod", pod.netns), s.far.Address(f))
		if seen := s.asked(t, s.from(s.far.Role()), pod.address(f), port, pod.address(f)); seen != s.far.Address(f) {
			t.Errorf("the pod was asked by %s, want %s", seen, s.far.Address(f))
		}
	}
	c.gone(t, pod)
}

// manyPods come at once, outlive containerd, and go at once.
func (s *scene) manyPods(t *testing.T, c *containerd) {
	pods := make([]sandbox, parallel)
	together(t, func(ctx context.Context, i int) (err error) {
		pods[i], err = c.run(ctx, c.podConfig(fmt.Sprint("many", i)))
		return err
	})
	owner := map[netip.Addr]int{}
	for i, p := range pods {
		for _, a := range p.addrs {
			if first, taken := owner[a]; taken {
				t.Errorf("pods %d and %d both have %s", first, i, a)
			}
			owner[a] = i
		}
	}
	c.restart(t)
	for _, p := range pods {
		for _, f := range families() {
			s.pinged(t, s.from(node), p.address(f))
		}
	}
	together(t, func(ctx context.Context, i int) error { return c.remove(ctx, pods[i]) })
}

// restart kills containerd and starts it again.
func (c *containerd) restart(t *testing.T) {
	t.Helper()
	if err := killInside(t.Context(), c.process); err != nil {
		t.Fatal(err)
	}
	c.start(t)
}

func (c *containerd) start(t *testing.T) {
	t.Helper()
	if err := c.process.Start(); err != nil {
		t.Fatal(err)
	}
	c.ready(t)
}

func together(t *testing.T, f func(context.Context, int) error) {
	t.Helper()
	errs := make([]error, parallel)
	var wg sync.WaitGroup
	for i := range parallel {
		wg.Go(func() { errs[i] = f(t.Context(), i) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}

// containerdKilled: pods go on without containerd, and it finds them again.
func (s *scene) containerdKilled(t *testing.T, c *containerd) {
	pod := c.pod(t, c.wishful("killed"))
	if err := killInside(t.Context(), c.process); err != nil {
		t.Fatal(err)
	}
	for _, f := range families() {
		s.asked(t, s.from(s.far.Role()), pod.address(f), port, pod.address(f))
	}
	c.start(t)
	status, err := c.status(t.Context(), pod.id)
	if err != nil {
		t.Fatal(err)
	}
	if status.state != "SANDBOX_READY" || !slices.Equal(status.addrs, pod.addrs) {
		t.Errorf("after the start the pod is %s with %v, had %v", status.state, status.addrs, pod.addrs)
	}
	next := c.pod(t, c.podConfig("next"))
	s.reachable(t, "next", next.netns, next.address)
	s.reachable(t, "killed", pod.netns, pod.address)
	c.gone(t, pod, next)
}

// withoutAgent: pods start, are reached and end while no agent runs.
func (s *scene) withoutAgent(t *testing.T, c *containerd) {
	agent, err := s.Node(node).Agent()
	if err != nil {
		t.Fatal(err)
	}
	old := c.pod(t, c.podConfig("old"))
	if err := agent.Kill9(t.Context()); err != nil {
		t.Fatal(err)
	}
	pod := c.pod(t, c.podConfig("meanwhile"))
	s.reachable(t, "meanwhile", pod.netns, pod.address)
	c.gone(t, old, pod)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitConverged(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// hostPortsOfContainerd: a pod's hostPort is the node's.
func (s *scene) hostPortsOfContainerd(t *testing.T, c *containerd) {
	for _, backend := range backends() {
		c.with(t, backend, func() {
			config := c.podConfig("ported-" + backend)
			config.Ports = []hostPort{{"TCP", 8080, 30081}, {"UDP", 8080, 30081}}
			pod := c.pod(t, config)
			s.hostPortServed(t, "30081", pod.address)
			c.gone(t, pod)
			s.hostPortGone(t, "30081")
		})
	}
}

// containerdBurst is what containerd lets a shaper pass at once, in bytes: the
// largest number of bits that it has.
const containerdBurst = 1 << 32 / 8

// bandwidthOfContainerd: the annotations are a shaper's rates, and the shaper
// works once the burst is over.
func (s *scene) bandwidthOfContainerd(t *testing.T, c *containerd) {
	const ingress, egress = 40_000_000, 60_000_000
	config := c.podConfig("shaped")
	config.Annotations = map[string]string{"kubernetes.io/ingress-bandwidth": "40M", "kubernetes.io/egress-bandwidth": "60M"}
	pod := c.pod(t, config)
	s.shaped(t, s.machine.from("shaped", pod.netns), ingress, egress)
	for part, rate := range map[string]float64{"pour": ingress, "drink": egress} {
		// A shaper counts headers, 66 bytes to 1448 of ours: the burst is over then,
		// and what follows is what the rate has let pass from the start.
		f := s.flow(t, s.from(node), part, pod.address(topology.V4), containerdBurst/100*96)
		if most := rate / 8 * (f.Skipping + f.Took).Seconds(); float64(f.Bytes) > 1.1*most {
			t.Errorf("%s: %d bytes after the burst, want at most %.0f", part, f.Bytes, most)
		}
	}
	c.gone(t, pod)
}
