package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/topology"
)

// crowd is how many pods many has.
const crowd = 50

// many pods: each connects to each by every family, and so does each ToR. From
// every machine all of them answer behind the Service's addresses, and the
// Service by its name.
func (s *scene) many(t *testing.T) {
	pods := s.serve(t, "many", crowd)
	if len(pods) != crowd {
		t.Fatalf("%d pods run, want %d", len(pods), crowd)
	}
	targets := at(pods...)
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(4)
	for _, pod := range pods {
		from := podNS(t, pod)
		g.Go(func() error { return connects(ctx, from, nil, targets) })
	}
	for _, rack := range s.Topology().Racks {
		for i, tor := range rack.ToRs {
			g.Go(func() error { return connects(ctx, s.ns(tor.Name), s.sources(rack, i), targets) })
		}
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	for _, pod := range oneOnEach(pods) {
		for _, to := range s.clusterIPs(t, "many") {
			s.allAnswer(t, pod, to, crowd)
		}
		s.byName(t, pod, "many")
	}
	s.eachAddressOnce(t)
}

// sources are the addresses of a rack's i-th ToR there, which the other racks know.
func (s *scene) sources(rack topology.Rack, i int) []netip.AddrPort {
	var all []netip.AddrPort
	for _, f := range s.Topology().Families() {
		all = append(all, netip.AddrPortFrom(rack.ToRAddress(f, i), 0))
	}
	return all
}

// serve is cluster.Serve until the end of the test. Each machine leads to the
// Service when it returns.
func (s *scene) serve(t *testing.T, name string, replicas int) []corev1.Pod {
	t.Helper()
	t.Cleanup(func() {
		if err := s.remove(context.WithoutCancel(t.Context()), name); err != nil {
			t.Error(err)
		}
	})
	pods, err := s.Serve(t.Context(), name, replicas)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range oneOnEach(pods) {
		for _, to := range s.clusterIPs(t, name) {
			s.answers(t, podNS(t, pod), to)
		}
	}
	return pods
}

// answers waits until a server does.
func (s *scene) answers(t *testing.T, from nstest.NS, to netip.AddrPort) {
	t.Helper()
	s.eventually(t, fmt.Sprintf("an answer of %s", to), func(ctx context.Context) error {
		_, err := get(ctx, from, to, "/hostname")
		return err
	})
}

// remove deletes what Serve has made, and waits until it is gone. It does not leave
// that to the garbage collector, which has long pauses after an outage.
func (s *scene) remove(ctx context.Context, name string) error {
	if _, err := s.Kubectl(ctx, "delete", "deployment,service", name, "--ignore-not-found"); err != nil {
		return err
	}
	_, err := s.Kubectl(ctx, "delete", "replicaset,pod", "--selector", "app="+name)
	return err
}

// removeAfter deletes objects of the namespace default at the end of the test,
// and waits until they are gone.
func (s *scene) removeAfter(t *testing.T, kinds string, names ...string) {
	t.Helper()
	t.Cleanup(func() {
		args := append([]string{"delete", kinds, "--ignore-not-found"}, names...)
		if _, err := s.Kubectl(context.WithoutCancel(t.Context()), args...); err != nil {
			t.Error(err)
		}
	})
}

// oneOnEach is the first pod of each node.
func oneOnEach(pods []corev1.Pod) []corev1.Pod {
	var some []corev1.Pod
	on := map[string]bool{}
	for _, pod := range pods {
		if !on[pod.Spec.NodeName] {
			some = append(some, pod)
		}
		on[pod.Spec.NodeName] = true
	}
	return some
}

// clusterIPs of a Service, with its first port.
func (s *scene) clusterIPs(t *testing.T, name string) []netip.AddrPort {
	t.Helper()
	service := s.service(t, name)
	var all []netip.AddrPort
	for _, ip := range service.Spec.ClusterIPs {
		all = append(all, netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(service.Spec.Ports[0].Port)))
	}
	return all
}

func (s *scene) service(t *testing.T, name string) corev1.Service {
	t.Helper()
	var service corev1.Service
	if err := s.Client().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, &service); err != nil {
		t.Fatal(err)
	}
	return service
}

// allAnswer asks a Service until each of its endpoints has answered. Each request
// goes to one of them by chance: that some of fifty are not met in the most that
// is asked happens once in a billion billion times.
func (s *scene) allAnswer(t *testing.T, from corev1.Pod, to netip.AddrPort, endpoints int) {
	t.Helper()
	const most = 2500
	ns := podNS(t, from)
	met := map[string]bool{}
	for range most {
		name, err := get(t.Context(), ns, to, "/hostname")
		if err != nil {
			t.Errorf("from %s on %s: %v", from.Name, from.Spec.NodeName, err)
			return
		}
		if met[name] = true; len(met) == endpoints {
			return
		}
	}
	t.Errorf("from %s on %s: %d of %d endpoints answer at %s", from.Name, from.Spec.NodeName, len(met), endpoints, to)
}

// byName has a pod ask a Service by its short and its long name, of each family.
func (s *scene) byName(t *testing.T, from corev1.Pod, name string) {
	t.Helper()
	const ask = `for f; do for n in $NAME $NAME.default.svc.cluster.local; do curl --silent --show-error --fail --max-time 15 $f http://$n/hostname || exit; echo; done; done`
	argv := []string{"env", "NAME=" + name, "sh", "-c", ask, "sh"}
	for _, a := range cluster.AddressesOf(from) {
		argv = append(argv, map[bool]string{true: "-4", false: "-6"}[a.Is4()])
	}
	if _, err := s.PodExec(t.Context(), from.Namespace, from.Name, argv...); err != nil {
		t.Errorf("from %s on %s: %v", from.Name, from.Spec.NodeName, err)
	}
}
