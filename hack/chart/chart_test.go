package chart

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/config"
	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/kube/kubetest"
)

const (
	dir       = "../../charts/fairlead"
	namespace = "elsewhere"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

// TestSameManifests: the chart can hold no link to config, so it holds copies.
func TestSameManifests(t *testing.T) {
	for _, folder := range []string{"crd", "rbac"} {
		if diff := cmp.Diff(yamls(t, "../../config/"+folder), yamls(t, dir+"/files/"+folder)); diff != "" {
			t.Errorf("files/%s is not config/%s (-config +chart): run make generate\n%s", folder, folder, diff)
		}
	}
}

func yamls(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(dir + "/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no manifests in %s: %v", dir, err)
	}
	texts := map[string]string{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(p)] = string(b)
	}
	return texts
}

// TestServerAccepts applies what the chart renders, by default and with all
// values set, to a real API server, in another namespace than the usual one.
func TestServerAccepts(t *testing.T) {
	plane := kubetest.Shared(t)
	c, err := client.New(plane.AdminConfig(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string]string{"default": "testdata/empty.yaml", "all values": "testdata/values.yaml"} {
		objects := render(t, "-f", values)
		if err := kube.Apply(t.Context(), c, objects...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, o := range objects {
			if ns := o.GetNamespace(); ns != "" && ns != namespace {
				t.Errorf("%s: %s %s is in namespace %s", name, o.GetKind(), o.GetName(), ns)
			}
			if text, _ := json.Marshal(o); o.GetKind() != "CustomResourceDefinition" && bytes.Contains(text, []byte(config.DefaultNamespace)) {
				t.Errorf("%s: %s %s names the namespace %s", name, o.GetKind(), o.GetName(), config.DefaultNamespace)
			}
		}
	}
}

// TestSettingsLoad gives the rendered settings files to the processes' own loader.
func TestSettingsLoad(t *testing.T) {
	controller, agent := config.DefaultController(), config.DefaultAgent()
	want := map[string]string{"fairlead-controller": "7m0s", "fairlead-agent": "9s"}
	got := map[string]string{}
	for _, o := range render(t, "-f", "testdata/values.yaml") {
		if o.GetKind() != "ConfigMap" {
			continue
		}
		text, _, _ := unstructured.NestedString(o.Object, "data", "settings.yaml")
		file := filepath.Join(t.TempDir(), "settings.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		settings, environ := config.Settings(&controller), []string(nil)
		if o.GetName() == "fairlead-agent" {
			settings, environ = &agent, []string{"FAIRLEAD_NODE_NAME=n1"}
		}
		if err := config.Load(o.GetName(), []string{"--config", file}, environ, settings); err != nil {
			t.Errorf("%s: %v\n%s", o.GetName(), err, text)
		}
		got[o.GetName()] = ""
	}
	got["fairlead-controller"], got["fairlead-agent"] = controller.NodeGracePeriod.String(), agent.ResyncInterval.String()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings of the chart (-want +got):\n%s", diff)
	}
	if agent.CNIHostPorts != config.HostPortsNone || agent.CNIBandwidth || agent.CNIMTU != 1400 {
		t.Errorf("host ports %s, bandwidth %v, MTU %d; want neither, and 1400", agent.CNIHostPorts, agent.CNIBandwidth, agent.CNIMTU)
	}
	if controller.Namespace != namespace || agent.Namespace != namespace {
		t.Errorf("namespaces %s and %s, want the release's", controller.Namespace, agent.Namespace)
	}
}

// TestMounts: who writes what on the node. The plugins' folder is the init
// container's, so that a running agent cannot change what runtimes execute; the
// configuration is the agent's.
func TestMounts(t *testing.T) {
	for values, want := range map[string]map[string][]string{
		"testdata/empty.yaml": {
			"install-cni": {"settings /etc/fairlead ro", "cni-bin /opt/cni/bin"},
			"agent": {
				"settings /etc/fairlead ro", "machine-id /etc/machine-id ro", "run /run/fairlead", "state /var/lib/fairlead",
				"cni-conf /etc/cni/net.d", "netns /run/netns ro HostToContainer",
			},
		},
		"testdata/values.yaml": {
			"install-cni": {"settings /etc/fairlead ro", "cni-bin /srv/cni/bin"},
			"agent": {
				"settings /etc/fairlead ro", "machine-id /etc/machine-id ro", "run /run/other", "state /srv/fairlead",
				"cni-conf /srv/cni/conf", "netns /run/netns ro HostToContainer",
			},
		},
	} {
		got := map[string][]string{}
		for _, o := range render(t, "-f", values) {
			if o.GetKind() != "DaemonSet" {
				continue
			}
			var ds appsv1.DaemonSet
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &ds); err != nil {
				t.Fatal(err)
			}
			spec := ds.Spec.Template.Spec
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

func TestSchemaRefuses(t *testing.T) {
	for _, set := range []string{
		"agent.settings.nodeName=n1", "agent.settings.resyncIntervall=1s", "controller.settings.leaderElection=maybe",
		"image.digest=latest", "apiServer.port=0", "agents.tolerations=null", "agent.settings.cniHostPorts=nft",
	} {
		if out, err := helm(t, "template", "fairlead", dir, "--kube-version=1.32.0", "--set", set); err == nil {
			t.Errorf("--set %s was accepted:\n%.500s", set, out)
		}
	}
	if out, err := helm(t, "template", "fairlead", dir, "--kube-version=1.31.9"); err == nil || !strings.Contains(out, "kubeVersion") {
		t.Errorf("Kubernetes 1.31 was accepted: %.200s", out)
	}
}

// TestKinds names everything that the chart makes, so that nothing is lost on
// the way from a template to the cluster.
func TestKinds(t *testing.T) {
	count := map[string]int{}
	for _, o := range render(t) {
		count[o.GetKind()]++
	}
	want := map[string]int{
		"ClusterRole": 2, "ClusterRoleBinding": 2, "ConfigMap": 2, "CustomResourceDefinition": 7, "DaemonSet": 1,
		"Deployment": 1, "PodDisruptionBudget": 1, "Role": 2, "RoleBinding": 2, "ServiceAccount": 2,
		"ValidatingAdmissionPolicy": 1, "ValidatingAdmissionPolicyBinding": 1,
	}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("kinds %v (-want +got):\n%s", slices.Sorted(maps.Keys(count)), diff)
	}
}

func render(t *testing.T, args ...string) []*unstructured.Unstructured {
	t.Helper()
	out, err := helm(t, append([]string{"template", "fairlead", dir, "--kube-version=1.32.0", "--namespace=" + namespace}, args...)...)
	if err != nil {
		t.Fatalf("render: %v\n%s", err, out)
	}
	objects, err := kube.Manifests(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// helm returns stdout, or, on error, stderr.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"tool", "-modfile=../helm/go.mod", "helm"}, args...)...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stderr.String(), err
	}
	return stdout.String(), nil
}
