package cluster

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
)

// move is a cluster that moves in.
type move struct {
	*scene
	// cidrs are the nodes' podCIDRs.
	cidrs map[string][]netip.Prefix
	// old are pods that were there before, one on each machine, by machine.
	old   map[string]corev1.Pod
	use   *use
	pings []*lab.Pinger
}

// app is the Deployment and Service that users ask.
const app = "app"

// appManifest takes a name, the number of pods, the image and the port. Pods end as
// pods should of which nobody is to notice: a while after they are off the Service.
const appManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: default}
spec:
  replicas: %[2]d
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 100%%}}
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 20
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, nodeTaintsPolicy: Honor, labelSelector: {matchLabels: {app: %[1]s}}, matchLabelKeys: [pod-template-hash]}
      containers:
        - name: server
          image: %[3]s
          imagePullPolicy: Never
          args: [netexec, --http-port=%[4]d, --udp-port=-1, --delay-shutdown=8]
          readinessProbe: {httpGet: {path: /hostname, port: %[4]d}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: default}
spec: {ipFamilyPolicy: RequireDualStack, selector: {app: %[1]s}, ports: [{port: 80, targetPort: %[4]d}]}
---
`

// oldPod is the name of a machine's pod and of its Service.
func oldPod(m *cluster.Machine) string { return "old-" + m.Name }

// before is the cluster as it was before Fairlead.
func (m *move) before(t *testing.T) {
	t.Helper()
	m.learnCIDRs(t)
	for _, machine := range m.Machines() {
		m.bridge(t, machine)
	}
	m.eachWay(t, func(role string, to netip.Prefix, hops []string) { m.ip(t, role, "add", to, hops...) })
	if err := m.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	manifests := []string{fmt.Sprintf(appManifest, app, 2*len(m.Machines()), cluster.ServerImage, podPort)}
	for _, machine := range m.Machines() {
		manifests = append(manifests, fmt.Sprintf(machineServer, oldPod(machine), machine.Name, false, cluster.ServerImage, podPort),
			fmt.Sprintf(serviceOf, oldPod(machine), "type: ClusterIP", oldPod(machine), podPort))
	}
	if err := m.Apply(t.Context(), strings.Join(manifests, "")); err != nil {
		t.Fatal(err)
	}
	for namespace, workload := range map[string]string{"default": "deployment/" + app, "kube-system": "deployment/coredns"} {
		if err := m.WaitRollout(t.Context(), namespace, workload); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Kubectl(t.Context(), "wait", "--for=condition=Ready", "--timeout="+bound.String(), "pod", "--all"); err != nil {
		t.Fatal(err)
	}
	m.old = map[string]corev1.Pod{}
	for _, machine := range m.Machines() {
		m.old[machine.Name] = m.pod(t, oldPod(machine))
	}
}

// Where the network before is configured. Its name comes after Fairlead's, as that of
// most networks does.
const (
	configFolder = "/etc/cni/net.d/"
	lateFile     = configFolder + "87-bridge.conflist"
	otherFile    = configFolder + "05-bridge.conflist"
)

// otherNetwork is the name of the network before, and of host-local's folder.
const otherNetwork = "before"

// pluginFolder is where Debian has the reference plugins.
const pluginFolder = "/usr/lib/cni"

// bridge gives a machine the network that it had before.
func (m *move) bridge(t *testing.T, machine *cluster.Machine) {
	t.Helper()
	for _, name := range []string{"bridge", "host-local", "portmap"} {
		data, err := os.ReadFile(filepath.Join(pluginFolder, name))
		if err != nil {
			t.Fatalf("reference plugins (Debian: containernetworking-plugins): %v", err)
		}
		if err := os.WriteFile(machine.Disk("opt/cni/bin/"+name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var ranges [][]map[string]string
	for _, p := range m.cidrs[machine.Name] {
		ranges = append(ranges, []map[string]string{{"subnet": p.String()}})
	}
	conflist, err := json.Marshal(map[string]any{"cniVersion": "1.0.0", "name": otherNetwork, "plugins": []any{
		map[string]any{
			"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "hairpinMode": true,
			"ipam": map[string]any{"type": "host-local", "ranges": ranges},
		},
		map[string]any{"type": "portmap", "capabilities": map[string]any{"portMappings": true}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	// Read as soon as it is there: it comes in one piece, and after the programs.
	file := machine.Disk(lateFile)
	if err := os.WriteFile(file+".new", conflist, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}
