package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"fairlead.dev/hack/lab"
)

// importConfig is for the containerd that unpacks the images once for all nodes.
const importConfig = `version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = %q
`

const importer = "image-import"

// databases are the files of a containerd's folder that change in place. All
// others are written once, and may be shared.
func databases() []string {
	return []string{"io.containerd.metadata.v1.bolt/meta.db", "io.containerd.snapshotter.v1.overlayfs/metadata.db"}
}

// identity is the file by which a containerd knows itself.
const identity = "io.containerd.grpc.v1.introspection/uuid"

func (c *Cluster) prepareImages(ctx context.Context) error {
	all, err := archives(c.bin)
	if err != nil {
		return err
	}
	if c.opts.NoImage {
		return c.importImages(ctx, all)
	}
	image := c.opts.Image
	if image == "" {
		image = os.Getenv(ImageEnv)
	}
	if image == "" {
		image = filepath.Join(c.Dir(), "fairlead.tar")
		if err := BuildImage(ctx, image, Tag); err != nil {
			return err
		}
	}
	return c.importImages(ctx, append(all, image))
}

func (c *Cluster) template() string { return filepath.Join(c.Dir(), "images", "containerd") }

// importImages unpacks all archives into a folder, from which each machine's
// containerd then starts: unpacking takes seconds, linking files does not.
func (c *Cluster) importImages(ctx context.Context, archives []string) error {
	dir := filepath.Join(c.Dir(), "images")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("import images: %w", err)
	}
	socket, conf := filepath.Join(dir, "containerd.sock"), filepath.Join(dir, "config.toml")
	text := fmt.Sprintf(importConfig, c.template(), filepath.Join(dir, "state"), socket)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return fmt.Errorf("import images: %w", err)
	}
	// Its mounts are its own, and end with it.
	p := &lab.Process{
		Name: importer, Deaf: true,
		Argv: []string{"unshare", "--mount", "--fork", "--kill-child", "--", "containerd", "--config", conf},
	}
	if err := c.Launch(p); err != nil {
		return fmt.Errorf("import images: %w", err)
	}
	ctr := []string{"ctr", "--address", socket, "--namespace", "k8s.io"}
	err := c.eventually(ctx, "containerd answers", func(ctx context.Context) error {
		return c.host(ctx, append(ctr, "version")...)
	})
	for _, archive := range archives {
		err = errors.Join(err, c.host(ctx, append(ctr, "images", "import", "--snapshotter", "overlayfs", archive)...))
	}
	err = errors.Join(err, p.Kill9(context.WithoutCancel(ctx)), c.ForgetProcess(p))
	if err != nil {
		return fmt.Errorf("import images: %w", err)
	}
	return nil
}

// giveImages gives a new machine's containerd all that was imported.
func (c *Cluster) giveImages(ctx context.Context, node string) error {
	to := filepath.Join(c.home(node), "disk", "var", "lib", "containerd")
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("give images to %s: %w", node, err)
	}
	err := c.host(ctx, "cp", "--archive", "--link", c.template(), to)
	for _, db := range databases() {
		err = errors.Join(err, c.host(ctx, "cp", "--archive", "--remove-destination", filepath.Join(c.template(), db), filepath.Join(to, db)))
	}
	err = errors.Join(err, os.RemoveAll(filepath.Join(to, identity)))
	if err != nil {
		return fmt.Errorf("give images to %s: %w", node, err)
	}
	return nil
}

// archives of the images that every cluster has.
func archives(bin string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(bin, "images", "*.tar"))
	if err == nil && len(found) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return nil, fmt.Errorf("find archives in %s: %w", strings.TrimSuffix(bin, "/")+"/images", err)
	}
	return found, nil
}
