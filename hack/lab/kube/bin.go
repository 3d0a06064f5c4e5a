package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// BinEnv names the folder of etcd, kube-apiserver and kubectl. Where it is not
// set, hack/setup.sh is asked, and builds them the first time.
const BinEnv = "FAIRLEAD_KUBE_BIN"

// BinDir returns the folder of etcd, kube-apiserver and kubectl.
func BinDir(ctx context.Context) (string, error) {
	if dir := os.Getenv(BinEnv); dir != "" {
		return dir, nil
	}
	script, err := setupScript()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, script, "kubernetes")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build the control plane: %w\n%s", err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// setupScript looks for hack/setup.sh from the working directory upwards: tests
// run in their package's folder.
func setupScript() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find hack/setup.sh: %w", err)
	}
	for {
		script := filepath.Join(dir, "hack", "setup.sh")
		if _, err := os.Stat(script); err == nil {
			return script, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find hack/setup.sh: not inside Fairlead's tree; set " + BinEnv)
		}
		dir = parent
	}
}
