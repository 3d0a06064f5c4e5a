package lint

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestPluginStaysSmall looks at all that is linked into the CNI plugin, which is
// executed for every pod: depguard sees direct imports only.
func TestPluginStaysSmall(t *testing.T) {
	banned := []string{
		"k8s.io/", "sigs.k8s.io/", "github.com/osrg/gobgp", "google.golang.org/", "github.com/prometheus/",
		"fairlead.dev/api", "fairlead.dev/bgp", "fairlead.dev/config", "fairlead.dev/controller", "net/http",
	}
	for _, dep := range deps(t, "fairlead.dev/cmd/fairlead-cni") {
		for _, b := range banned {
			if strings.HasPrefix(dep, b) {
				t.Errorf("fairlead-cni links %s", dep)
			}
		}
	}
}

// TestCLILinksNoAgent keeps the view that agents give a matter of values.
func TestCLILinksNoAgent(t *testing.T) {
	for _, dep := range deps(t, "fairlead.dev/cmd/fairlead") {
		for _, b := range []string{"fairlead.dev/controller/node", "fairlead.dev/dataplane", "fairlead.dev/cniplugin/store", "github.com/osrg/gobgp"} {
			if strings.HasPrefix(dep, b) {
				t.Errorf("fairlead links %s", dep)
			}
		}
	}
}

func deps(t *testing.T, pkg string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list what %s links: %v\n%s", pkg, err, stderr.String())
	}
	list := strings.Fields(string(out))
	if !slices.Contains(list, pkg) {
		t.Fatalf("%s is not among its own dependencies", pkg)
	}
	return list
}
