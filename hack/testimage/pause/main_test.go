package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPause is a pod's life: orphans come and end, and then the pod does.
func TestPause(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root, for a pid namespace")
	}
	program := filepath.Join(t.TempDir(), "pause")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	pause := exec.Command(program)
	pause.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if err := pause.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pause.Process.Kill() }()

	// The shell ends before its child, which the first process of the namespace
	// inherits: the fifo keeps the child until we have seen it there.
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	orphan := exec.Command("nsenter", fmt.Sprintf("--target=%d", pause.Process.Pid), "--pid", "sh", "-c", "cat "+fifo+" >/dev/null 2>&1 &")
	if out, err := orphan.CombinedOutput(); err != nil {
		t.Fatalf("leave an orphan: %v\n%s", err, out)
	}
	waitChildren(t, pause.Process.Pid, 1)
	end, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	end.Close()
	waitChildren(t, pause.Process.Pid, 0)

	if err := pause.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := pause.Wait(); err != nil {
		t.Errorf("asked to end: %v", err)
	}
}

func waitChildren(t *testing.T, pid, want int) {
	t.Helper()
	var children []byte
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		children = nil
		for _, task := range tasks {
			list, err := os.ReadFile(task)
			if err != nil {
				t.Fatal(err)
			}
			children = append(children, list...)
		}
		if len(strings.Fields(string(children))) == want {
			return
		}
	}
	t.Fatalf("children %q, want %d", children, want)
}
