package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/hack/lab"
)

// otherBIRD is of a daemon that has no peer, but the port.
const otherBIRD = `router id 192.0.2.1;
protocol device {}
protocol bgp stranger { local as 64999; neighbor 192.0.2.2 as 64998; multihop; passive; ipv4 { import none; export none; }; }
`

// occupy has a BIRD of somebody's own take a machine's BGP port, before the
// machine runs anything else.
func (s *scene) occupy(t *testing.T, machine string) *lab.Process {
	t.Helper()
	file := filepath.Join(s.Dir(), "other-bird.conf")
	if err := os.WriteFile(file, []byte(otherBIRD), 0o600); err != nil {
		t.Fatal(err)
	}
	argv := []string{"bird", "-f", "-c", file, "-s", filepath.Join(s.Dir(), "other-bird.ctl")}
	p, err := s.StartProcess("other-bird", s.EnterCommand(machine, argv...)...)
	if err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "BIRD has the BGP port of "+machine, func(ctx context.Context) error {
		return s.listens(ctx, machine, "bird")
	})
	return p
}

// listens says who has the BGP port of a machine, if it is not the wanted program.
func (s *scene) listens(ctx context.Context, machine, program string) error {
	out, err := s.Exec(ctx, machine, "ss", "-Hltnp", "sport = :179")
	if err == nil && !strings.Contains(out, `"`+program+`"`) {
		err = fmt.Errorf("the port is of %q", out)
	}
	return err
}

// portTaken: the node whose BGP port another daemon has is served by the sessions
// that it dials. Then the daemon ends.
func (s *scene) portTaken(t *testing.T, bird *lab.Process) {
	s.talk(t)
	if err := s.listens(t.Context(), s.last(), "bird"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(bird.Stop(t.Context()), s.ForgetProcess(bird)); err != nil {
		t.Fatal(err)
	}
}

// portFree: the port is the agent's, which tries again each minute.
func (s *scene) portFree(t *testing.T) {
	s.eventually(t, "the agent has the BGP port of "+s.last(), func(ctx context.Context) error {
		return s.listens(ctx, s.last(), "fairlead-agent")
	})
	if err := s.settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.talk(t)
}
