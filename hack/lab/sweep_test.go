package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// helperEnv makes the test binary bring up the lab of that name and be killed.
const helperEnv = "FAIRLEAD_LAB_TEST_INSTANCE"

// TestMain plays the process that is killed, where it is told to.
func TestMain(m *testing.M) {
	instance := os.Getenv(helperEnv)
	if instance == "" {
		os.Exit(m.Run())
	}
	_, err := Up(testContext(), Options{Instance: instance, NetworkOnly: true, OnPhase: func(phase string, _ time.Duration) {
		if phase == "routers" {
			fmt.Println("ready")
			time.Sleep(time.Minute) // until SIGKILL
		}
	}})
	fmt.Println(err)
	os.Exit(1)
}

// TestSweep kills a process with its lab half up; the next lab removes it.
func TestSweep(t *testing.T) {
	requireRoot(t)
	instance := randomName()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+instance)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	n, err := out.Read(line)
	if err != nil || strings.TrimSpace(string(line[:n])) != "ready" {
		t.Fatalf("helper: %q, %v", line[:n], err)
	}
	dead, err := Open(instance, discard())
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, p := range dead.Processes() {
		pids = append(pids, p.Pid)
	}
	if len(pids) == 0 {
		t.Fatal("the helper recorded no process")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if err := sweep(t.Context(), discard()); err != nil {
		t.Fatal(err)
	}
	assertNothingLeft(t, dead, pids)
}
