package chart

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestKinds names everything that the chart makes, so that nothing is lost on
// the way from a template to the cluster.
func TestKinds(t *testing.T) {
	count := map[string]int{}
	for _, o := range render(t) {
		kind := o.GetKind()
		if hook := o.GetAnnotations()["helm.sh/hook"]; hook != "" {
			kind += " " + hook
		}
		count[kind]++
	}
	const crds, test = " pre-install,pre-upgrade,pre-rollback", " test"
	want := map[string]int{
		"ClusterRole": 3, "ClusterRoleBinding": 3, "ConfigMap": 2, "CustomResourceDefinition": 7, "DaemonSet": 1,
		"Deployment": 1, "FlowSchema": 2, "PodDisruptionBudget": 1, "Role": 2, "RoleBinding": 2, "ServiceAccount": 3,
		"ValidatingAdmissionPolicy": 1, "ValidatingAdmissionPolicyBinding": 1,
		"ClusterRole" + crds: 1, "ClusterRoleBinding" + crds: 1, "Job" + crds: 1, "ServiceAccount" + crds: 1,
		"Pod" + test: 2,
	}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("kinds %v (-want +got):\n%s", slices.Sorted(maps.Keys(count)), diff)
	}
}

// TestUsersObjectsStay: a release that goes takes no addresses and no peers along.
func TestUsersObjectsStay(t *testing.T) {
	seen := 0
	for _, o := range render(t, "-f", "testdata/values.yaml") {
		if o.GroupVersionKind().Group != "fairlead.dev" {
			continue
		}
		seen++
		if policy := o.GetAnnotations()["helm.sh/resource-policy"]; policy != "keep" {
			t.Errorf("%s %s has the resource policy %q, want keep", o.GetKind(), o.GetName(), policy)
		}
	}
	if seen != 3 {
		t.Errorf("%d objects of values, want 3", seen)
	}
}

func podSpec(t *testing.T, o *unstructured.Unstructured) corev1.PodSpec {
	t.Helper()
	var ds appsv1.DaemonSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &ds); err != nil {
		t.Fatal(err)
	}
	if o.GetKind() != "Pod" {
		return ds.Spec.Template.Spec
	}
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &pod); err != nil {
		t.Fatal(err)
	}
	return pod.Spec
}

// TestPowers: what each container may do. None is privileged, and none has a
// capability that is not here.
func TestPowers(t *testing.T) {
	want := map[string][]corev1.Capability{
		"install-cni": {"DAC_OVERRIDE"}, "agent": {"NET_ADMIN", "NET_BIND_SERVICE"}, "cleanup": {"NET_ADMIN", "DAC_OVERRIDE"},
		"controller": nil, "crds": nil, "status": nil,
	}
	got := map[string][]corev1.Capability{}
	for _, o := range append(render(t, "-f", "testdata/values.yaml"), render(t)...) {
		if !slices.Contains([]string{"DaemonSet", "Deployment", "Job", "Pod"}, o.GetKind()) {
			continue
		}
		pod := podSpec(t, o)
		for _, c := range append(pod.InitContainers, pod.Containers...) {
			may := c.SecurityContext
			if may == nil || may.Capabilities == nil || !slices.Equal(may.Capabilities.Drop, []corev1.Capability{"ALL"}) ||
				may.AllowPrivilegeEscalation == nil || *may.AllowPrivilegeEscalation || may.ReadOnlyRootFilesystem == nil || !*may.ReadOnlyRootFilesystem ||
				may.Privileged != nil || pod.SecurityContext.SeccompProfile == nil {
				t.Errorf("container %s may do more than it needs: %+v", c.Name, may)
				continue
			}
			if asRoot := may.RunAsUser != nil && *may.RunAsUser == 0; asRoot != (len(may.Capabilities.Add) > 0) {
				t.Errorf("container %s runs as root: %v, with the capabilities %v", c.Name, asRoot, may.Capabilities.Add)
			}
			got[c.Name] = may.Capabilities.Add
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("capabilities (-want +got):\n%s", diff)
	}
}

// TestMounts: who writes what on the node. The plugins' folder is the init
// container's, so that a running agent cannot change what runtimes execute; the
// configuration is the agent's.
func TestMounts(t *testing.T) {
	for values, want := range map[string]map[string][]string{
		"testdata/default.yaml": {
			"install-cni": {"settings /etc/fairlead ro", "cni-bin /opt/cni/bin"},
			"agent": {
				"settings /etc/fairlead ro", "machine-id /etc/machine-id ro", "run /run/fairlead", "state /var/lib/fairlead",
				"cni-conf /etc/cni/net.d", "netns /run/netns ro HostToContainer",
				"docker-netns /run/docker/netns ro HostToContainer", "cni-state /var/lib/cni ro", "sysctls /host/proc/sys/net",
			},
		},
		"testdata/values.yaml": {
			"install-cni": {"settings /etc/fairlead ro", "cni-bin /srv/cni/bin"},
			"agent": {
				"settings /etc/fairlead ro", "machine-id /etc/machine-id ro", "run /run/other", "state /srv/fairlead",
				"cni-conf /srv/cni/conf", "netns /run/netns ro HostToContainer",
				"docker-netns /run/docker/netns ro HostToContainer", "cni-state /var/lib/cni ro", "sysctls /host/proc/sys/net",
			},
		},
	} {
		got := map[string][]string{}
		for _, o := range render(t, "-f", values) {
			if o.GetKind() != "DaemonSet" {
				continue
			}
			spec := podSpec(t, o)
			for _, c := range append(spec.InitContainers, spec.Containers...) {
				for _, m := range c.VolumeMounts {
					line := m.Name + " " + m.MountPath
					if m.ReadOnly {
						line += " ro"
					}
					if m.MountPropagation != nil {
						line += " " + string(*m.MountPropagation)
					}
					got[c.Name] = append(got[c.Name], line)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("mounts with %s (-want +got):\n%s", values, diff)
		}
	}
}

// TestPorts: all ports of the host network are told to the scheduler, and empty
// addresses are no ports, so that two controllers fit a node.
func TestPorts(t *testing.T) {
	for values, want := range map[string][]int32{
		"testdata/default.yaml": {9470, 9471, 9472, 9473}, "testdata/values.yaml": {9470, 9998, 9999}, "testdata/other.yaml": {9470, 9471},
	} {
		var got []int32
		for _, o := range render(t, "-f", values) {
			if o.GetKind() != "DaemonSet" && o.GetKind() != "Deployment" {
				continue
			}
			for _, p := range podSpec(t, o).Containers[0].Ports {
				got = append(got, p.HostPort)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("host ports with %s: %v, want %v", values, got, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, set := range []string{
		"agent.settings.nodeName=n1", "agent.settings.sysctlDir=/proc/sys", "agent.settings.resyncIntervall=1s", "controller.settings.leaderElection=maybe",
		"image.digest=latest", "apiServer.port=0", "agents.tolerations=null", "agent.settings.cniHostPorts=nft",
		"agent.settings.cniMTU=1000", "agent.settings.resyncInterval=soon", "agent.settings.runDir=run", "agent.settings.logLevel=loud",
		"agent.settings.healthAddress=9471", "agent.settings.metricsAddress=:0", "agent.privileged=true", "agent.maxUnavailable=some",
		"ipPools[0].name=Pods", "ipPools[0].cidr=10.0.0.0/8", "serviceMonitor.interval=often", "agent.seLinuxOptions.typ=spc_t",
		"controller.settings.leaderElection=false", // with two replicas
	} {
		if out, err := template(t, "--set", set); err == nil {
			t.Errorf("--set %s was accepted:\n%.500s", set, out)
		}
	}
	if out, err := helm(t, "template", "fairlead", dir, "--kube-version=1.31.9"); err == nil || !strings.Contains(out, "kubeVersion") {
		t.Errorf("Kubernetes 1.31 was accepted: %.200s", out)
	}
}
