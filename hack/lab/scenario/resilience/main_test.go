package resilience

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/labtest"
	"fairlead.dev/hack/lab/topology"
)

// Times of this lab, shorter than the defaults so that what happens at their end
// is seen.
const (
	// restartTime is how long routers keep the routes of an agent that is gone.
	restartTime = 10 * time.Second
	// nodeGrace and cooling are the controller's.
	nodeGrace = 12 * time.Second
	cooling   = 3 * time.Second
	// bound is how long anything may take to come back, on a busy machine.
	bound = 60 * time.Second
	tick  = 200 * time.Millisecond
	// worthTelling is a wait that a reader of the log wants to know of.
	worthTelling = 3 * time.Second
)

// scene is the lab that all scenarios share, each leaving it as it found it.
type scene struct {
	*lab.Lab
	// a, b, c, d are pods on n1 to n4: a and b in one rack, c and d in the other.
	a, b, c, d lab.Pod
	// excused says that a controller may end by itself: see outage.
	excused bool
}

func TestResilience(t *testing.T) {
	s := &scene{}
	t.Cleanup(func() { s.assertNothingLeft(t) })
	s.Lab = labtest.Up(t, lab.Options{
		ControllerArgs: []string{"--node-grace-period", nodeGrace.String(), "--cooling-period", cooling.String()},
		AgentArgs:      []string{"--node-grace-period", nodeGrace.String()},
	})
	s.setRestartTime(t)
	s.a, s.b, s.c, s.d = s.addPod(t, "n1", "a"), s.addPod(t, "n2", "b"), s.addPod(t, "n3", "c"), s.addPod(t, "n4", "d")
	labtest.Run(t, s.Lab, nil, []labtest.Scenario{
		{Name: "agents are killed and started again", Run: s.agentsRestart},
		{Name: "pods come and go while the agent is killed", Run: s.podsComeAndGo},
		{Name: "an agent starts while the API server is down", Run: s.startsWithoutAPI},
		{Name: "the control plane is killed", Run: s.controlPlaneRestarts},
		{Name: "the leading controller is killed", Run: s.leaderKilled},
		{Name: "routers are killed", Run: s.routersRestart},
		{Name: "the address store is deleted", Run: s.storeDeleted},
		{Name: "routes drift", Run: s.drift},
		{Name: "a foreign route stands in a block's place", Run: s.foreignRoute},
		{Name: "cables are cut", Run: s.cablesCut},
		{Name: "a node is rebooted", Run: s.nodeRebooted},
		{Name: "a node is gone for good", Run: s.nodeGone},
	})
}

// setRestartTime makes routers forget a dead agent soon. It resets all sessions.
func (s *scene) setRestartTime(t *testing.T) {
	t.Helper()
	for _, rack := range s.Topology().Racks {
		patch := fmt.Sprintf(`{"spec":{"gracefulRestartSeconds":%d}}`, int(restartTime.Seconds()))
		c := &v1alpha1.BGPConfiguration{}
		c.Name = rack.Name
		if err := s.Client().Patch(t.Context(), c, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			t.Fatal(err)
		}
	}
	want := fmt.Sprintf("Received Restart Time(sec): %d\n", int(restartTime.Seconds()))
	for _, rack := range s.Topology().Racks {
		tor := s.Router(rack.ToRs[0].Name)
		s.eventually(t, bound, "restart time heard by "+tor.Name, func(ctx context.Context) error {
			out, err := tor.Vtysh(ctx, "show bgp neighbors graceful-restart")
			out = strings.ReplaceAll(out, "\r", "")
			if err != nil {
				return err
			}
			if n, sessions := strings.Count(out, want), len(rack.Nodes)*len(s.Topology().Families()); n != sessions {
				return fmt.Errorf("%q for %d sessions, want %d:\n%s", want, n, sessions, out)
			}
			return nil
		})
	}
	if err := s.WaitConverged(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) addPod(t *testing.T, node, name string) lab.Pod {
	t.Helper()
	pod, err := s.AddPod(t.Context(), node, name)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func (s *scene) delPod(t *testing.T, name string) {
	t.Helper()
	if err := s.DelPod(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) agent(t *testing.T, node string) *lab.Process {
	t.Helper()
	return labtest.Agent(t, s.Lab, node)
}

// eventually tries until it is so, and returns how long it took.
func (s *scene) eventually(t *testing.T, bound time.Duration, what string, try func(context.Context) error) time.Duration {
	t.Helper()
	took := labtest.Eventually(t, s.Lab, bound, what, func(ctx context.Context) error {
		err := try(ctx)
		if err != nil {
			s.playKubelet(t)
		}
		return err
	})
	if took > worthTelling {
		t.Logf("%s: after %v", what, took.Round(10*time.Millisecond))
	}
	return took
}

// always fails the test as soon as what holds now does not hold any more within a time.
func (s *scene) always(t *testing.T, during time.Duration, what string, holds func(context.Context) error) {
	t.Helper()
	for began := time.Now(); time.Since(began) < during; {
		if err := holds(t.Context()); err != nil {
			t.Fatalf("%s: after %v: %v", what, time.Since(began).Round(time.Millisecond), err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(what, t.Context().Err())
		case <-time.After(tick):
		}
	}
}

// assertNothingLeft looks for what outlived the lab.
func (s *scene) assertNothingLeft(t *testing.T) {
	if s.Lab == nil {
		return
	}
	left, err := filepath.Glob("/run/netns/" + s.NSName("*"))
	if err != nil || len(left) != 0 {
		t.Errorf("namespaces are left: %v, %v", left, err)
	}
	for _, p := range s.Processes() {
		if p.Running() {
			t.Errorf("process %s (%d) is left", p.Name, p.Pid)
		}
	}
	if _, err := os.Stat(filepath.Dir(filepath.Dir(filepath.Dir(s.Node("n1").RunDir())))); err == nil {
		t.Error("the lab's folder is left")
	}
}

func families() []topology.Family { return []topology.Family{topology.V4, topology.V6} }
