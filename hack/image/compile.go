package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// compile builds the programs for an architecture into the folder bin.
func compile(ctx context.Context, root, bin, arch string) error {
	vcs := "auto"
	// A tree that git refuses to read is built without its commit.
	if exec.CommandContext(ctx, "git", "-C", root, "rev-parse", "HEAD").Run() != nil {
		vcs = "false"
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("compile for %s: %w", arch, err)
	}
	args := []string{"build", "-C", root, "-trimpath", "-buildvcs=" + vcs, "-ldflags=-s -w -buildid=", "-o", bin}
	for _, p := range programs() {
		if !chained(p) {
			args = append(args, "./cmd/"+p)
		}
	}
	ours := exec.CommandContext(ctx, "go", args...)
	others := exec.CommandContext(ctx, filepath.Join(root, "hack", "plugins", "build.sh"), bin)
	for _, cmd := range []*exec.Cmd{ours, others} {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("compile for %s: %w\n%s", arch, err, out)
		}
	}
	return nil
}
