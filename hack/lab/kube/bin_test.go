package kube

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestBinDir(t *testing.T) {
	t.Setenv(BinEnv, "/some/where")
	if dir, err := BinDir(t.Context()); err != nil || dir != "/some/where" {
		t.Errorf("%s = %s: %q, %v", BinEnv, "/some/where", dir, err)
	}
	t.Setenv(BinEnv, "")
	dir, err := BinDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	t.Chdir(t.TempDir())
	if _, err := BinDir(t.Context()); err == nil || !strings.Contains(err.Error(), BinEnv) {
		t.Errorf("outside the tree: %v", err)
	}
}

// What setup.sh prints on stdout is for programs: the folder, and nothing else.
func TestSetupScript(t *testing.T) {
	path, err := setupScript()
	if err != nil {
		t.Fatal(err)
	}
	var outs []string
	for _, arg := range []string{"kubernetes", "--print-bin"} {
		out, err := exec.Command(path, arg).Output()
		if err != nil {
			t.Fatalf("setup.sh %s: %v", arg, err)
		}
		outs = append(outs, string(out))
	}
	if outs[0] != outs[1] || strings.Count(outs[0], "\n") != 1 {
		t.Errorf("setup.sh kubernetes prints %q, --print-bin %q", outs[0], outs[1])
	}

	for arg, folder := range map[string]string{"--print-bin": "kubernetes-", "--print-cluster": "cluster-", "--print-e2e": "e2e-"} {
		other := exec.Command(path, arg)
		other.Env = append(os.Environ(), "FAIRLEAD_CACHE=/else/where")
		if out, err := other.Output(); err != nil || !strings.HasPrefix(string(out), "/else/where/"+folder) {
			t.Errorf("%s with FAIRLEAD_CACHE: %q, %v", arg, out, err)
		}
	}
	if out, err := exec.Command(path, "nonsense").CombinedOutput(); err == nil || !strings.Contains(string(out), "unknown argument nonsense") {
		t.Errorf("unknown argument: %q, %v", out, err)
	}
	old := exec.Command(path, "kubernetes")
	old.Env = append(os.Environ(), "PATH="+fakeGo(t, "go1.19.8")+":"+os.Getenv("PATH"))
	if out, err := old.CombinedOutput(); err == nil || !strings.Contains(string(out), "or later is needed, and 1.19.8 is here") {
		t.Errorf("with an old Go: %q, %v", out, err)
	}
}

// fakeGo makes a folder with a go of that version.
func fakeGo(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte("#!/bin/sh\necho "+version+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
