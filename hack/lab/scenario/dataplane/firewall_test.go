package dataplane

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"fairlead.dev/hack/lab"
)

// firewall is a firewalld with a bus of its own.
type firewall struct {
	s         *scene
	bus       string
	processes []*lab.Process
}

// busConfig is a D-Bus on which everybody may do everything.
const busConfig = `<busconfig>
  <type>system</type>
  <listen>unix:path=%s</listen>
  <policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
`

// startFirewalld starts Debian's firewalld on the guarded node, with nothing but its
// defaults, until the end of the test. Its files are in a folder of the test, and
// its /run is nobody else's.
func (s *scene) startFirewalld(t *testing.T) *firewall {
	t.Helper()
	for _, program := range []string{"dbus-daemon", "firewalld"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: run hack/setup.sh packages", err)
		}
	}
	dir := t.TempDir()
	w := &firewall{s: s, bus: filepath.Join(dir, "bus")}
	t.Cleanup(func() { w.stop(t) })
	conf := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, busConfig, w.bus), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(t, "dbus", "dbus-daemon", "--nofork", "--nopidfile", "--config-file="+conf)
	s.eventually(t, "the bus", func(context.Context) error {
		_, err := os.Stat(w.bus)
		return err
	})
	w.start(t, "firewalld", append(w.onBus(), "unshare", "--mount", "sh", "-c", `mount -t tmpfs firewalld /run && exec "$@"`, "-",
		"firewalld", "--nofork", "--nopid", "--log-target", "console", "--system-config", dir)...)
	s.eventually(t, "firewalld", func(ctx context.Context) error {
		_, err := s.Exec(ctx, guarded, append(w.onBus(), "firewall-cmd", "--state")...)
		return err
	})
	return w
}

func (w *firewall) start(t *testing.T, name string, argv ...string) {
	t.Helper()
	p, err := w.s.StartProcess(guarded+"-"+name, w.s.EnterCommand(guarded, argv...)...)
	if err != nil {
		t.Fatal(err)
	}
	w.processes = append(w.processes, p)
}

// stop ends firewalld, and then its bus.
func (w *firewall) stop(t *testing.T) {
	t.Helper()
	for _, p := range slices.Backward(w.processes) {
		if err := p.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

func (w *firewall) onBus() []string {
	return []string{"env", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + w.bus}
}

// cmd is firewall-cmd.
func (w *firewall) cmd(t *testing.T, args ...string) {
	t.Helper()
	w.s.exec(t, guarded, append(append(w.onBus(), "firewall-cmd"), args...)...)
}
