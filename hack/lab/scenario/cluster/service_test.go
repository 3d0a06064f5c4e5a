package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/topology"
)

// The names of what services makes.
const (
	near = "near" // a pod on the first machine
	far  = "far"  // a pod on the last, and Services of it
	host = "host" // one on the last machine's own network
)

// hostPort is where the host's server listens on its machine.
const hostPort = 8090

// machineServer takes a name, the machine, whether it is on the host's network,
// the image and the port.
const machineServer = `apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: default, labels: {app: %[1]s}}
spec:
  nodeSelector: {kubernetes.io/hostname: %[2]s}
  hostNetwork: %[3]t
  terminationGracePeriodSeconds: 1
  containers:
    - name: server
      image: %[4]s
      imagePullPolicy: Never
      args: [netexec, --http-port=%[5]d, --udp-port=-1]
      readinessProbe: {httpGet: {path: /hostname, port: %[5]d}, periodSeconds: 1}
---
`

// serviceOf takes a name, the rest of the specification, the pod's name and its port.
const serviceOf = `apiVersion: v1
kind: Service
metadata: {name: %s, namespace: default}
spec: {ipFamilyPolicy: RequireDualStack, %s, selector: {app: %s}, ports: [{port: 80, targetPort: %d}]}
---
`

// services are those that the machines' kube-proxies make, beside pools that are
// translated on their way out: who asks, and whom those who are asked see.
func (s *scene) services(t *testing.T) {
	s.setNATOutgoing(t, true)
	t.Cleanup(func() { s.setNATOutgoing(t, false) })
	client, server := s.makeServices(t)
	outside := s.serveOutside(t)
	for _, f := range s.Topology().Families() {
		own, node := addressOf(client, f), s.Node(s.first()).Address(f)
		s.seen(t, client, netip.AddrPortFrom(s.Topology().OutsideAddress(f), outside), node)
		s.seen(t, client, netip.AddrPortFrom(addressOf(server, f), podPort), own)
		s.seen(t, client, s.clusterIP(t, far, f), own)
		s.seen(t, client, s.clusterIP(t, host, f), own, node)
		local, anywhere := s.nodePort(t, far+"-local"), s.nodePort(t, far+"-any")
		s.seenFromOutside(t, netip.AddrPortFrom(s.Node(s.last()).Address(f), local), s.Topology().OutsideAddress(f))
		for _, m := range s.Machines() {
			s.answers(t, s.ns(topology.RoleOutside), netip.AddrPortFrom(m.Address(f), anywhere))
		}
	}
	s.byName(t, client, far)
	s.byName(t, client, host)
	s.flushed(t, client, outside)
}

// flushed: somebody takes all rules of a machine away, ours and kube-proxy's. Each
// brings back its own.
func (s *scene) flushed(t *testing.T, client corev1.Pod, outside uint16) {
	t.Helper()
	m := s.Machine(s.first())
	if _, err := m.Exec(t.Context(), "nft", "flush", "ruleset"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, f := range s.Topology().Families() {
		s.seen(t, client, netip.AddrPortFrom(s.Topology().OutsideAddress(f), outside), m.Address(f))
	}
	t.Logf("our translation was back after %v", time.Since(began).Round(time.Millisecond))
	// In nftables mode kube-proxy finds out at the next change of a Service.
	s.removeAfter(t, "service", "change")
	if err := s.Apply(t.Context(), fmt.Sprintf(serviceOf, "change", "type: ClusterIP", far, podPort)); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Topology().Families() {
		s.seen(t, client, s.clusterIP(t, far, f), addressOf(client, f))
	}
	t.Logf("kube-proxy's Services were back after %v", time.Since(began).Round(time.Millisecond))
	s.byName(t, client, far)
}

// setNATOutgoing of all pools.
func (s *scene) setNATOutgoing(t *testing.T, on bool) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"natOutgoing":%t}}`, on)
	for _, p := range s.Topology().Pools {
		if _, err := s.Kubectl(context.WithoutCancel(t.Context()), "patch", "ippool", p.Name, "--type=merge", "--patch", patch); err != nil {
			t.Error(err)
		}
	}
}

// makeServices makes all that services is about, until the end of the test.
func (s *scene) makeServices(t *testing.T) (client, server corev1.Pod) {
	t.Helper()
	s.removeAfter(t, "pod", near, far, host)
	s.removeAfter(t, "service", far, far+"-local", far+"-any", host)
	err := s.Apply(t.Context(), strings.Join([]string{
		fmt.Sprintf(machineServer, near, s.first(), false, cluster.ServerImage, podPort),
		fmt.Sprintf(machineServer, far, s.last(), false, cluster.ServerImage, podPort),
		fmt.Sprintf(machineServer, host, s.last(), true, cluster.ServerImage, hostPort),
		fmt.Sprintf(serviceOf, far, "type: ClusterIP", far, podPort),
		fmt.Sprintf(serviceOf, far+"-local", "type: NodePort, externalTrafficPolicy: Local", far, podPort),
		fmt.Sprintf(serviceOf, far+"-any", "type: NodePort", far, podPort),
		fmt.Sprintf(serviceOf, host, "type: ClusterIP", host, hostPort),
	}, ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Kubectl(t.Context(), "wait", "--for=condition=Ready", "--timeout="+bound.String(), "pod", near, far, host); err != nil {
		t.Fatal(err)
	}
	return s.pod(t, near), s.pod(t, far)
}

func (s *scene) pod(t *testing.T, name string) corev1.Pod {
	t.Helper()
	pods, err := s.Pods(t.Context(), "default", "app", name)
	if err != nil || len(pods) != 1 {
		t.Fatalf("%d pods %s, %v", len(pods), name, err)
	}
	return pods[0]
}

func addressOf(pod corev1.Pod, f topology.Family) netip.Addr {
	for _, a := range cluster.AddressesOf(pod) {
		if topology.FamilyOf(a) == f {
			return a
		}
	}
	return netip.Addr{}
}

func (s *scene) clusterIP(t *testing.T, service string, f topology.Family) netip.AddrPort {
	t.Helper()
	for _, a := range s.clusterIPs(t, service) {
		if topology.FamilyOf(a.Addr()) == f {
			return a
		}
	}
	t.Fatalf("service %s has no %s address", service, f)
	return netip.AddrPort{}
}

func (s *scene) nodePort(t *testing.T, service string) uint16 {
	t.Helper()
	return uint16(s.service(t, service).Spec.Ports[0].NodePort)
}
