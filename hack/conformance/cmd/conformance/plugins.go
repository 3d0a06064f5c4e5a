package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"fairlead.dev/hack/conformance"
)

// debianDir is where Debian has the reference plugins.
const debianDir = "/usr/lib/cni"

// Packages of the reference plugins, in the tool module that pins their version.
const (
	toolModule = "hack/plugins"
	reference  = "github.com/containernetworking/plugins"
)

// plugins makes those under test ready, ours first: it builds in folders of dir
// what must be built. It runs at the top of the tree.
func plugins(ctx context.Context, dir string) ([]conformance.Plugin, error) {
	debian, err := output(ctx, ".", "dpkg-query", "-W", "-f", "${Version}", "containernetworking-plugins")
	if err != nil {
		return nil, fmt.Errorf("find Debian's reference plugins (hack/setup.sh packages installs them): %w", err)
	}
	debian, _, _ = strings.Cut(debian, "+")
	newest, err := output(ctx, toolModule, "go", "list", "-m", "-f", "{{.Version}}", reference)
	if err != nil {
		return nil, err
	}
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "reference")
	for _, d := range []string{ours, theirs} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	if err := build(ctx, ".", filepath.Join(ours, "fairlead"), "fairlead.dev/cmd/fairlead-cni"); err != nil {
		return nil, err
	}
	if err := build(ctx, toolModule, theirs+"/", reference+"/plugins/main/ptp", reference+"/plugins/ipam/host-local"); err != nil {
		return nil, err
	}
	newest = strings.TrimPrefix(newest, "v")
	return []conformance.Plugin{
		conformance.Fairlead(ours),
		conformance.Reference("ptp "+debian, "ptp and host-local of containernetworking/plugins "+debian+", as Debian builds them", debianDir),
		conformance.Reference("ptp "+newest, "ptp and host-local of containernetworking/plugins "+newest, theirs),
	}, nil
}

func build(ctx context.Context, module, out string, packages ...string) error {
	_, err := output(ctx, module, "go", append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", out}, packages...)...)
	return err
}

func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}
