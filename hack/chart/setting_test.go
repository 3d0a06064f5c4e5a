package chart

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fairlead.dev/config"
)

// write writes a file that goes with the test.
func write(t *testing.T, text []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestSettingsLoad gives the rendered settings files to the processes' own loader.
func TestSettingsLoad(t *testing.T) {
	controller, agent := config.DefaultController(), config.DefaultAgent()
	for _, o := range render(t, "-f", "testdata/values.yaml") {
		if o.GetKind() != "ConfigMap" {
			continue
		}
		text, _, _ := unstructured.NestedString(o.Object, "data", "settings.yaml")
		settings, environ := config.Settings(&controller), []string(nil)
		if o.GetName() == "fairlead-agent" {
			settings, environ = &agent, []string{"FAIRLEAD_NODE_NAME=n1"}
		}
		if err := config.Load(o.GetName(), []string{"--config", write(t, []byte(text))}, environ, settings); err != nil {
			t.Errorf("%s: %v\n%s", o.GetName(), err, text)
		}
	}
	want := map[string]any{
		"controller grace": "7m0s", "agent resync": "9s", "host ports": config.HostPortsNone, "bandwidth": false, "MTU": uint32(1400),
		"namespaces": [2]string{namespace, namespace}, "sysctls": "/host/proc/sys",
	}
	got := map[string]any{
		"controller grace": controller.NodeGracePeriod.String(), "agent resync": agent.ResyncInterval.String(),
		"host ports": agent.CNIHostPorts, "bandwidth": agent.CNIBandwidth, "MTU": agent.CNIMTU,
		"namespaces": [2]string{controller.Namespace, agent.Namespace}, "sysctls": agent.SysctlDir,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings of the chart (-want +got):\n%s", diff)
	}
}
