package alert

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// render returns the documents of a kind, with all that Prometheus' operator reads.
func render(t *testing.T, kind string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../helm/go.mod", "helm",
		"template", "fairlead", "../../charts/fairlead", "--kube-version=1.32.0", "-f", "../chart/testdata/values.yaml")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("render: %v\n%s", err, &stderr)
	}
	var found []string
	for doc := range strings.SplitSeq(string(out), "\n---\n") {
		if strings.Contains(doc, "\nkind: "+kind+"\n") {
			found = append(found, doc)
		}
	}
	return found
}

func rules(t *testing.T) []monitoring.Rule {
	t.Helper()
	docs := render(t, "PrometheusRule")
	if len(docs) != 1 {
		t.Fatalf("%d PrometheusRules, want 1", len(docs))
	}
	var rule monitoring.PrometheusRule
	if err := yaml.UnmarshalStrict([]byte(docs[0]), &rule); err != nil {
		t.Fatal(err)
	}
	var all []monitoring.Rule
	for _, g := range rule.Spec.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// exported are the names of the metrics as the code makes them. The figures of a
// node are names in a list there.
func exported(t *testing.T) []string {
	t.Helper()
	name := regexp.MustCompile(`"(fairlead_[a-z_]+)"`)
	var names []string
	for _, file := range []string{"../../controller/node/metric.go", "../../controller/cluster/metrics.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range name.FindAllStringSubmatch(string(text), -1) {
			names = append(names, match[1])
		}
	}
	return names
}

// metrics are those that an expression reads.
func metrics(t *testing.T, expression string) []string {
	t.Helper()
	parsed, err := parser.ParseExpr(expression)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	var names []string
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if selector, ok := n.(*parser.VectorSelector); ok {
			names = append(names, selector.Name)
		}
		return nil
	})
	return names
}

// TestAlerts: each reads metrics that there are and that docs/metrics.md explains,
// says how bad it is and what to do, and is in the table of alerts there.
func TestAlerts(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented, there := string(text), exported(t)
	seen := map[string]bool{}
	for _, r := range rules(t) {
		if seen[r.Alert] || r.Alert == "" {
			t.Errorf("alert %q is there twice, or has no name", r.Alert)
		}
		seen[r.Alert] = true
		read := metrics(t, r.Expr.String())
		if len(read) == 0 {
			t.Errorf("%s reads no metric", r.Alert)
		}
		for _, m := range read {
			if !slices.Contains(there, m) {
				t.Errorf("%s reads %s, which neither controller nor agent has", r.Alert, m)
			}
			if !strings.Contains(documented, "`"+m) {
				t.Errorf("%s reads %s, which docs/metrics.md does not have", r.Alert, m)
			}
		}
		if r.For == nil || r.Labels["severity"] == "" || r.Labels["team"] != "network" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s lacks a time, a label or an annotation: %+v", r.Alert, r)
		}
		if !strings.Contains(documented, "| `"+r.Alert+"` |") {
			t.Errorf("docs/metrics.md does not have %s in its table of alerts", r.Alert)
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d alerts", len(seen))
	}
}

func TestServiceMonitors(t *testing.T) {
	docs := render(t, "ServiceMonitor")
	if len(docs) != 2 {
		t.Fatalf("%d ServiceMonitors, want 2", len(docs))
	}
	for _, doc := range docs {
		var m monitoring.ServiceMonitor
		if err := yaml.UnmarshalStrict([]byte(doc), &m); err != nil {
			t.Error(err)
		}
		if len(m.Spec.Endpoints) != 1 || m.Spec.Endpoints[0].Interval != "15s" || m.Labels["release"] != "prometheus" {
			t.Errorf("%s: %+v", m.Name, m.Spec)
		}
	}
}
