package cluster

import (
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// reboot: a machine loses its power and gets it back. It is another boot of the
// same machine: what its disk holds is there, what its kernel held is not, and its
// pods run again without a hand of ours.
func (s *scene) reboot(t *testing.T) {
	m := s.Machine(s.Machines()[1].Name)
	before := s.nodeObject(t, m.Name).Status.NodeInfo
	if _, err := m.Exec(t.Context(), "sh", "-c", "echo kept >/var/lib/fairlead/mark && echo lost >/run/mark && echo kept >/srv/mark"); err != nil {
		t.Fatal(err)
	}
	if err := s.PowerOff(t.Context(), m.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Exec(t.Context(), "true"); err == nil {
		t.Error("a command ran on a machine without power")
	}
	booted := time.Now()
	if err := s.PowerOn(t.Context(), m.Name); err != nil {
		t.Fatal(err)
	}
	if out, err := m.Exec(t.Context(), "sh", "-c", "cat /var/lib/fairlead/mark /srv/mark && ! cat /run/mark 2>/dev/null"); err != nil || out != "kept\nkept\n" {
		t.Errorf("after the boot the machine says %q, %v", out, err)
	}
	if err := s.WaitPods(t.Context(), m.Name, booted); err != nil {
		t.Fatal(err)
	}
	if after := s.nodeObject(t, m.Name).Status.NodeInfo; after.MachineID != before.MachineID {
		t.Errorf("it is machine %s after the boot, was %s", after.MachineID, before.MachineID)
	}
	if err := s.settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.Disk("var/lib/fairlead/mark")); err != nil {
		t.Error(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func (s *scene) nodeObject(t *testing.T, name string) corev1.Node {
	t.Helper()
	var node corev1.Node
	if err := s.Client().Get(t.Context(), client.ObjectKey{Name: name}, &node); err != nil {
		t.Fatal(err)
	}
	return node
}
