package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/plan"
)

var (
	here     = Identity{Node: "n1", MachineID: "m1", APIServer: "https://192.0.2.1:6443"}
	moment   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	anIntent = plan.Intent{
		Node:   v1alpha1.BGPNode{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: v1alpha1.BGPNodeSpec{NodeUID: "u", ASNumber: 65101, RouterID: "10.1.0.11"}},
		Blocks: []v1alpha1.IPBlock{{ObjectMeta: metav1.ObjectMeta{Name: "10.244.0.0-26"}, Spec: v1alpha1.IPBlockSpec{CIDR: "10.244.0.0/26"}}},
		Keys:   map[string]string{"bgp/password": "s3cret"},
	}
)

func TestMemoryRemembers(t *testing.T) {
	dir := t.TempDir()
	m := NewMemory(filepath.Join(dir, "state"), here, "boot1", time.Minute)
	if _, err := m.Load(moment); !errors.Is(err, ErrNothingRemembered) {
		t.Fatalf("load before any save: %v", err)
	}
	if err := m.Save(anIntent, moment); err != nil {
		t.Fatal(err)
	}
	got, err := m.Load(moment.Add(time.Hour)) // the same boot: pods lived on
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(anIntent, got); d != "" {
		t.Error(d)
	}
	info, err := os.Stat(filepath.Join(dir, "state", "snapshot.json"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("keys are readable by others: %v", info.Mode())
	}
	left, _ := os.ReadDir(filepath.Join(dir, "state"))
	if len(left) != 1 {
		t.Errorf("temporary files left: %v", left)
	}
}

// A remembered lease that may meanwhile be another node's is void.
func TestMemoryIsVoid(t *testing.T) {
	for name, c := range map[string]struct {
		id   Identity
		boot string
		now  time.Time
		want string // "" is usable
	}{
		"same boot, much later":      {here, "boot1", moment.Add(100 * time.Hour), ""},
		"rebooted, within the limit": {here, "boot2", moment.Add(time.Minute), ""},
		"rebooted, too late":         {here, "boot2", moment.Add(time.Minute + time.Second), "before the reboot"},
		"clock went back":            {here, "boot1", moment.Add(-time.Second), "clock went back"},
		"cloned disk":                {Identity{"n1", "m2", here.APIServer}, "boot1", moment, "was written for"},
		"renamed node":               {Identity{"n2", "m1", here.APIServer}, "boot1", moment, "was written for"},
		"another cluster":            {Identity{"n1", "m1", "https://198.51.100.1"}, "boot1", moment, "was written for"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := NewMemory(dir, here, "boot1", time.Minute).Save(anIntent, moment); err != nil {
				t.Fatal(err)
			}
			_, err := NewMemory(dir, c.id, c.boot, time.Minute).Load(c.now)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("not used: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v does not say %q", err, c.want)
			}
		})
	}
}

func TestMemoryDamaged(t *testing.T) {
	for name, content := range map[string]string{"cut": `{"version":1,"iden`, "version": `{"version":2}`, "empty": ""} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "snapshot.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := NewMemory(dir, here, "boot1", time.Minute).Load(moment)
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("error does not name the file: %v", err)
			}
		})
	}
}

func TestOwn(t *testing.T) {
	dir := t.TempDir()
	release, err := Own(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Own(dir); !errors.Is(err, ErrOwned) {
		t.Errorf("second agent: %v", err)
	}
	release()
	release, err = Own(dir)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	release()
}

// A killed agent leaves at most one unfinished file, which holds keys: the next
// save replaces it, whatever its mode, and Forget leaves nothing.
func TestMemoryAfterAKill(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "snapshot.json.new")
	if err := os.WriteFile(left, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	m := NewMemory(dir, here, "boot1", time.Minute)
	if err := m.Save(anIntent, moment); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "snapshot.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info, err)
	}
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Forget(); err != nil {
			t.Error(err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
}
