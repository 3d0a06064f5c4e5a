package cluster

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// outageTime is how long the API server stays away at least.
var outageTime = flag.Duration("outage", 20*time.Second, "how long the API server is down")

// outage: the API server is away. Pods come and go by files meanwhile and talk
// across racks, agents are killed, and what runs is served as before.
func (s *scene) outage(t *testing.T) {
	pods := s.serve(t, "lasting", len(s.Machines()))
	agents, err := s.ours(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	used := s.addressesUsed(t)
	ctx, use := s.use(t)
	const service, direct = "from a pod to the Service", "from a pod to a pod"
	client, server := podNS(t, on(t, pods, s.first())), at(on(t, pods, s.last()))
	use.ask(ctx, service, client, s.clusterIPs(t, "lasting")[0], rate/5)
	use.ask(ctx, direct, client, server[len(server)-1], rate/5)
	use.watch(ctx, t, pods)

	began := time.Now()
	s.killAPI(t)
	for round := 1; round == 1 || time.Since(began) < *outageTime; round++ {
		var pair []*static
		for _, machine := range []string{s.first(), s.last()} {
			pair = append(pair, s.startStatic(t, machine, fmt.Sprint("static", round)))
		}
		s.talkAcross(t, pair)
		if round == 1 {
			s.killAgents(t, agents)
			s.talkAcross(t, pair)
		}
		for _, p := range pair {
			s.endStatic(t, p)
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("the API server was away for %v", time.Since(began).Round(time.Second))
	use.well(t, "outage")
	// After a long outage Kubernetes itself may take nodes for dead, and endpoints
	// off Services, until their kubelets have reported.
	use.end(t, service)
	if err := s.ControlPlane().StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	use.stop(t, "return of the API server")
	s.eachAddressOnce(t)
	for _, m := range s.Machines() {
		if err := s.WaitAddressesUsed(t.Context(), m.Name, used[m.Name], bound); err != nil {
			t.Error(err)
		}
	}
}

// killAPI ends the API server; it is back at the end of the test if not before.
func (s *scene) killAPI(t *testing.T) {
	t.Helper()
	if err := s.ControlPlane().KillAPIServer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if _, err := s.Blocks(ctx); err == nil {
			return
		}
		if err := s.ControlPlane().StartAPIServer(ctx); err != nil {
			t.Error(err)
		}
	})
}

// agentProgram is the agent as its container starts it.
const agentProgram = "/bin/fairlead-agent"

// killAgents ends every agent by SIGKILL and waits until kubelets have started
// each again, and its sessions are there.
func (s *scene) killAgents(t *testing.T, ours []corev1.Pod) {
	t.Helper()
	for _, pod := range ours {
		if pod.Labels["app.kubernetes.io/component"] != "agent" {
			continue
		}
		before, err := processOf(pod.UID, agentProgram)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.eventually(t, "another agent on "+pod.Spec.NodeName, func(context.Context) error {
			after, err := processOf(pod.UID, agentProgram)
			if err == nil && after == before {
				err = errors.New("it is the same")
			}
			return err
		})
	}
	s.eventually(t, "each ToR has its sessions", s.sessions)
}

// sessions finds a session of a ToR with a machine that is not established.
func (s *scene) sessions(ctx context.Context) error {
	for _, rack := range s.Topology().Racks {
		for _, tor := range rack.ToRs {
			sessions, err := s.Router(tor.Name).Sessions(ctx)
			if err != nil {
				return err
			}
			up := 0
			for _, session := range sessions {
				of := slices.ContainsFunc(rack.Nodes, func(n topology.Node) bool { return rack.NodeAddress(session.Family, n) == session.Neighbour })
				if of && session.State == lab.Established {
					up++
				}
			}
			if want := len(rack.Nodes) * len(s.Topology().Families()); up != want {
				return fmt.Errorf("%s has %d sessions with machines, want %d", tor.Name, up, want)
			}
		}
	}
	return nil
}

// addressesUsed on each machine.
func (s *scene) addressesUsed(t *testing.T) map[string]int64 {
	t.Helper()
	used := map[string]int64{}
	for _, m := range s.Machines() {
		n, err := s.AddressesUsed(t.Context(), m.Name)
		if err != nil {
			t.Fatal(err)
		}
		used[m.Name] = n
	}
	return used
}
