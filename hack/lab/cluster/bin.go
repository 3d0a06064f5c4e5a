package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/kube"
)

// BinEnv names the folder of kubelet, kube-proxy, the managers, helm and the
// images. Where it is not set, hack/setup.sh is asked, and builds them the first time.
const BinEnv = "FAIRLEAD_CLUSTER_BIN"

// ImageEnv names an archive of Fairlead's image. Where it is not set, the image is
// built from the tree.
const ImageEnv = "FAIRLEAD_IMAGE"

// ChartEnv names the chart to install. Where it is not set, it is the tree's.
const ChartEnv = "FAIRLEAD_CHART"

// Repository is the name of Fairlead's image in the cluster, without its tag.
const Repository = "fairlead.dev/fairlead"

// Tag of the image that nodes have from the start.
const Tag = "lab"

func findChart(chart string) (string, error) {
	if chart == "" {
		chart = os.Getenv(ChartEnv)
	}
	if chart == "" {
		root, err := kube.Tree()
		if err != nil {
			return "", err
		}
		chart = filepath.Join(root, "charts", "fairlead")
	}
	return filepath.Abs(chart)
}

// findPrograms names the folder of Fairlead's own programs, of which a cluster
// needs none from the host: they are for its user.
func findPrograms(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv(lab.BinEnv)
	}
	if dir == "" {
		root, err := kube.Tree()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, "bin")
	}
	return filepath.Abs(dir)
}

// Programs is the folder of kubelet, helm and their like.
func (c *Cluster) Programs() string { return c.bin }

// BuildImage builds Fairlead's image from the tree under a tag into an archive.
func BuildImage(ctx context.Context, archive, tag string) error {
	root, err := kube.Tree()
	if err != nil {
		return err
	}
	arch, err := output(ctx, root, "go", "env", "GOARCH")
	if err != nil {
		return fmt.Errorf("build image: %w", err)
	}
	_, err = output(ctx, filepath.Join(root, "hack", "image"),
		"go", "run", ".", "-o", archive, "-arch", strings.TrimSpace(arch), "-name", Repository, "-tag", tag)
	if err != nil {
		return fmt.Errorf("build image: %w", err)
	}
	return nil
}

// output runs a command that may take minutes, such as a build.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(said.String()))
	}
	return string(out), nil
}

// requirements are programs of the host's that machines run.
func requirements() error {
	var errs []error
	for _, name := range []string{"containerd", "ctr", "runc", "nft", "iptables", "mount", "unshare", "nsenter", "setpriv", "pivot_root"} {
		if _, err := exec.LookPath(name); err != nil {
			errs = append(errs, fmt.Errorf("%w (hack/setup.sh packages installs it)", err))
		}
	}
	return errors.Join(append(errs, cgroupsUsable())...)
}
