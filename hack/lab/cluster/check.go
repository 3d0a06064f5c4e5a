package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ServerImage is an image that each machine has: an HTTP server that says who it
// is, with a shell and the usual network tools.
const ServerImage = "registry.k8s.io/e2e-test-images/agnhost:2.59"

// serverPort is where the pods of Serve listen; their Service's is 80.
const serverPort = 8080

// serverManifest takes a name, how many, the image, the port, and the families of
// the Service.
const serverManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: default}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, nodeTaintsPolicy: Honor, labelSelector: {matchLabels: {app: %[1]s}}}
      containers:
        - name: server
          image: %[3]s
          imagePullPolicy: Never
          args: [netexec, --http-port=%[4]d]
          readinessProbe: {httpGet: {path: /hostname, port: %[4]d}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: default}
spec: {ipFamilyPolicy: %[5]s, selector: {app: %[1]s}, ports: [{port: 80, targetPort: %[4]d}]}
`

// Serve makes a Deployment of servers, spread over the nodes, and a Service of
// its name, in the namespace default, and returns its pods when all are ready.
func (c *Cluster) Serve(ctx context.Context, name string, replicas int) ([]corev1.Pod, error) {
	policy := "SingleStack"
	if len(c.Topology().Families()) > 1 {
		policy = "RequireDualStack"
	}
	if err := c.Apply(ctx, fmt.Sprintf(serverManifest, name, replicas, ServerImage, serverPort, policy)); err != nil {
		return nil, err
	}
	if err := c.WaitRollout(ctx, "default", "deployment/"+name); err != nil {
		return nil, err
	}
	return c.Pods(ctx, "default", "app", name)
}

// Pods that have a label and are not on their way out, by name.
func (c *Cluster) Pods(ctx context.Context, namespace, label, value string) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := c.Client().List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{label: value}); err != nil {
		return nil, fmt.Errorf("list pods %s=%s: %w", label, value, err)
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods, nil
}

// AddressesOf a pod, as the API has them.
func AddressesOf(pod corev1.Pod) []netip.Addr {
	var addresses []netip.Addr
	for _, ip := range pod.Status.PodIPs {
		if a, err := netip.ParseAddr(ip.IP); err == nil {
			addresses = append(addresses, a)
		}
	}
	return addresses
}

// Check has pods in all racks, each of which must reach each other by every
// family, their Service by its addresses, and both by name.
func (c *Cluster) Check(ctx context.Context) error {
	if err := c.WaitRollout(ctx, "kube-system", "deployment/coredns"); err != nil {
		return err
	}
	pods, err := c.Serve(ctx, "web", len(c.Machines()))
	if err != nil {
		return err
	}
	if err := c.spread(pods); err != nil {
		return err
	}
	service := &corev1.Service{}
	if err := c.Client().Get(ctx, client.ObjectKey{Namespace: "default", Name: "web"}, service); err != nil {
		return fmt.Errorf("get service web: %w", err)
	}
	targets := []string{"web", "web.default.svc.cluster.local"}
	targets = append(targets, service.Spec.ClusterIPs...)
	for i, target := range targets {
		if a, err := netip.ParseAddr(target); err == nil {
			target = netip.AddrPortFrom(a, 80).String()
		}
		targets[i] = target
	}
	for _, pod := range pods {
		for _, a := range AddressesOf(pod) {
			targets = append(targets, netip.AddrPortFrom(a, serverPort).String())
		}
	}
	for _, pod := range pods {
		if err := c.fetch(ctx, pod, targets); err != nil {
			return err
		}
	}
	return nil
}

// spread finds a machine without a pod, or a pod without an address of a family.
func (c *Cluster) spread(pods []corev1.Pod) error {
	on := map[string]bool{}
	for _, pod := range pods {
		on[pod.Spec.NodeName] = true
		if got, want := len(AddressesOf(pod)), len(c.Topology().Families()); got != want {
			return fmt.Errorf("pod %s has the addresses %v, want one of each of %d families", pod.Name, AddressesOf(pod), want)
		}
	}
	for _, m := range c.Machines() {
		if !on[m.Name] {
			return fmt.Errorf("no pod runs on %s", m.Name)
		}
	}
	return nil
}

// fetch has a pod ask all targets in one go, and says which did not answer.
func (c *Cluster) fetch(ctx context.Context, pod corev1.Pod, targets []string) error {
	const ask = `for t; do curl --silent --show-error --fail --max-time 5 "http://$t/hostname" >/dev/null || { echo "no answer of $t" >&2; no=1; }; done; exit $no`
	if _, err := c.PodExec(ctx, pod.Namespace, pod.Name, append([]string{"sh", "-c", ask, "sh"}, targets...)...); err != nil {
		return fmt.Errorf("from %s on %s: %w", pod.Name, pod.Spec.NodeName, err)
	}
	return nil
}
