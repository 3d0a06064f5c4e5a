package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"fairlead.dev/config"
)

// Release is the name under which Install installs the chart.
const Release = "fairlead"

// Chart is the folder or archive of the chart that Upgrade installs.
func (c *Cluster) Chart() string { return c.opts.Chart }

// HelmCommand is the command line of a helm inside the control plane's namespace,
// which keeps all that it keeps in the lab's folder.
func (c *Cluster) HelmCommand(args ...string) []string {
	line := []string{"env"}
	for _, kind := range []string{"CACHE", "CONFIG", "DATA"} {
		line = append(line, "HELM_"+kind+"_HOME="+filepath.Join(c.Dir(), "helm"))
	}
	return append(append(line, filepath.Join(c.bin, "helm"), "--kubeconfig", c.AdminKubeconfig()), args...)
}

// Helm runs helm as the cluster's admin.
func (c *Cluster) Helm(ctx context.Context, args ...string) (string, error) {
	return c.control(ctx, nil, c.HelmCommand(args...)...)
}

// Values are those with which Fairlead is installed here: our image, and the API
// server by the host address under which nodes reach it before kube-proxy works.
func (c *Cluster) Values() map[string]any {
	return map[string]any{
		"image":     map[string]any{"repository": Repository, "tag": Tag, "pullPolicy": "Never"},
		"apiServer": map[string]any{"host": c.Topology().ControlPlane().String(), "port": 6443},
	}
}

// Upgrade installs the chart, or upgrades it, with Values and what is to differ
// from them. It returns without waiting for the pods.
func (c *Cluster) Upgrade(ctx context.Context, values map[string]any) error {
	file, err := c.valuesFile(values)
	if err != nil {
		return err
	}
	_, err = c.Helm(ctx, "upgrade", "--install", Release, c.Chart(), "--namespace", config.DefaultNamespace,
		"--create-namespace", "--values", file)
	return err
}

func (c *Cluster) valuesFile(values map[string]any) (string, error) {
	data, err := json.MarshalIndent(merge(c.Values(), values), "", "  ")
	if err != nil {
		return "", fmt.Errorf("write values of the chart: %w", err)
	}
	file := filepath.Join(c.Dir(), "values.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return "", fmt.Errorf("write values of the chart: %w", err)
	}
	return file, nil
}

// merge lays one tree of values over another.
func merge(base, over map[string]any) map[string]any {
	base = maps.Clone(base)
	for key, value := range over {
		below, ok := base[key].(map[string]any)
		above, both := value.(map[string]any)
		if ok && both {
			value = merge(below, above)
		}
		base[key] = value
	}
	return base
}

// Install installs Fairlead as a user does: the chart with values over Values,
// then the pools, BGPConfigurations and BGPPeers of the topology. It returns when
// every Node is Ready and every router and kernel has every block.
func (c *Cluster) Install(ctx context.Context, values map[string]any) error {
	if err := c.Upgrade(ctx, values); err != nil {
		return err
	}
	if err := c.CreateObjects(ctx); err != nil {
		return err
	}
	if err := c.WaitReady(ctx); err != nil {
		return err
	}
	return c.WaitRoutes(ctx)
}
