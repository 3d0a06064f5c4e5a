package cluster_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/labtest"
	"fairlead.dev/hack/lab/topology"
)

// helperEnv makes the test binary bring up the cluster of that name and be killed.
const helperEnv = "FAIRLEAD_CLUSTER_TEST_INSTANCE"

// TestMain plays the process that is killed, where it is told to.
func TestMain(m *testing.M) {
	instance := os.Getenv(helperEnv)
	if instance == "" {
		os.Exit(m.Run())
	}
	_, err := cluster.Up(context.Background(), options(instance, func(phase string) {
		if phase == lastPhase {
			fmt.Println("ready")
			time.Sleep(time.Minute) // until SIGKILL
		}
	}))
	fmt.Println(err)
	os.Exit(1)
}

// bound is how long anything may take, on a busy machine.
const bound = 90 * time.Second

// lastPhase is when all that a cluster consists of is there.
const lastPhase = "machines"

// options of a cluster that is as small as one can be.
func options(instance string, onPhase func(string)) cluster.Options {
	topo := topology.Default()
	topo.Racks = topo.Racks[:1]
	topo.Racks[0].Nodes, topo.Racks[0].ToRs = topo.Racks[0].Nodes[:1], topo.Racks[0].ToRs[:1]
	topo.Spines = topo.Spines[:1]
	return cluster.Options{
		NoImage: true,
		Lab:     lab.Options{Instance: instance, Topology: &topo, OnPhase: func(phase string, _ time.Duration) { onPhase(phase) }},
	}
}

// TestKilledOwner kills the process that a cluster was to end with; the next lab
// removes what is left of it.
func TestKilledOwner(t *testing.T) {
	labtest.Root(t)
	instance := "killed" + fmt.Sprint(os.Getpid())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+instance)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil || strings.TrimSpace(string(line[:n])) != "ready" {
		t.Fatalf("helper: %q, %v", line[:n], err)
	}
	if found, _ := filepath.Glob("/sys/fs/cgroup/*/" + lab.CgroupName(instance)); len(found) == 0 {
		t.Error("the cluster has no cgroup: its machines do not run")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	l := labtest.Up(t, lab.Options{NetworkOnly: true, NoWait: true})
	if l.Instance == instance {
		t.Fatal("the next lab has the name of the last")
	}
	labtest.NothingLeft(t, instance)
}

// TestCancelled interrupts Up at the end of each phase that brings something new.
func TestCancelled(t *testing.T) {
	labtest.Root(t)
	for _, at := range []string{"api server", lastPhase} {
		t.Run(at, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			instance := "cut" + fmt.Sprint(os.Getpid())
			_, err := cluster.Up(ctx, options(instance, func(phase string) {
				if phase == at {
					cancel()
				}
			}))
			if err == nil {
				t.Error("Up succeeded though it was cancelled")
			}
			labtest.NothingLeft(t, instance)
		})
	}
}
