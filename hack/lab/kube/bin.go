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
func BinDir(ctx context.Context) (string, error) { return Programs(ctx, BinEnv, "kubernetes") }

// Programs returns the folder that an environment variable names. Where it is not
// set, hack/setup.sh is asked for what verb stands for, and builds it the first time.
func Programs(ctx context.Context, env, verb string) (string, error) {
	if dir := os.Getenv(env); dir != "" {
		return dir, nil
	}
	script, err := setupScript()
	if err != nil {
		return "", fmt.Errorf("%w; set %s", err, env)
	}
	cmd := exec.CommandContext(ctx, script, verb)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build the programs of hack/setup.sh %s: %w\n%s", verb, err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

const setup = "hack/setup.sh"

func setupScript() (string, error) {
	tree, err := Tree()
	return filepath.Join(tree, setup), err
}

// Tree finds Fairlead's source tree from the working directory upwards: tests run
// in their package's folder.
func Tree() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find Fairlead's tree: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, setup)); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find Fairlead's tree: not inside of it")
		}
		dir = filepath.Dir(dir)
	}
}
