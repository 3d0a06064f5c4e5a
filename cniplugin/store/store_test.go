package store

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/dataplane"
)

// newStore makes a store with one open block.
func newStore(t *testing.T) *Store {
	t.Helper()
	s, _, err := Create(filepath.Join(t.TempDir(), rundir.Store), nil, at(0))
	if err != nil {
		t.Fatal(err)
	}
	mustUpdate(t, s, func(state *State) error { state.SetLeases(leased("10.0.0.0/24").Leases); return nil })
	return s
}

// listed is a kernel that tells of these routes.
func listed(routes ...dataplane.PodRoute) func() ([]dataplane.PodRoute, error) {
	return func() ([]dataplane.PodRoute, error) { return routes, nil }
}

func mustUpdate(t *testing.T, s *Store, change func(*State) error) {
	t.Helper()
	if err := s.Update(change); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, s *Store) State {
	t.Helper()
	state, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestOpenWithoutStore(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), rundir.Store)); !errors.Is(err, ErrNotReady) {
		t.Errorf("no folder: %v", err)
	}
	s := newStore(t)
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(); !errors.Is(err, ErrNotReady) {
		t.Errorf("read what vanished: %v", err)
	}
	if err := s.Update(func(*State) error { return nil }); !errors.Is(err, ErrNotReady) {
		t.Errorf("update what vanished: %v", err)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder was made again: %v", err)
	}
}

func TestCreateIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", rundir.Store)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Create(dir, nil, at(0)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{".": 0o700 | os.ModeDir, "state.json": 0o600, "lock": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}

func TestCreateRebuildsFromTheKernel(t *testing.T) {
	routes := []dataplane.PodRoute{
		{Address: netip.MustParseAddr("fd00::1"), HostVeth: "fla"},
		{Address: netip.MustParseAddr("10.0.1.1"), HostVeth: "fla"},
		{Address: netip.MustParseAddr("10.0.1.0"), HostVeth: "flb"},
		{Address: netip.MustParseAddr("10.0.1.0"), HostVeth: "flb"},
	}
	s, made, err := Create(filepath.Join(t.TempDir(), rundir.Store), listed(routes...), at(time.Minute))
	if err != nil || !made.Rebuilt || made.Aside != "" {
		t.Fatalf("made %+v, %v", made, err)
	}
	entry := func(addr, veth string) Allocation {
		return Allocation{Address: netip.MustParseAddr(addr), Kind: KindPod, HostVeth: veth, BootID: boot, At: time.Minute}
	}
	want := State{Version: 1, Allocations: []Allocation{entry("10.0.1.0", "flb"), entry("10.0.1.1", "fla"), entry("fd00::1", "fla")}}
	if diff := cmp.Diff(want, mustRead(t, s), cmpNet); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	mustUpdate(t, s, func(state *State) error {
		state.SetLeases(leased("10.0.1.0/30").Leases)
		if got := add(t, state, "new", time.Minute); got != "10.0.1.2" {
			t.Errorf("got %s, which a pod of the kernel has", got)
		}
		return nil
	})
}

func TestCreateKeepsWhatIsThere(t *testing.T) {
	s := newStore(t)
	mustUpdate(t, s, func(state *State) error { add(t, state, "a", 0); return nil })
	before := mustRead(t, s)
	_, made, err := Create(s.dir, listed(dataplane.PodRoute{Address: netip.MustParseAddr("10.9.9.9"), HostVeth: "flx"}), at(0))
	if err != nil || made.Rebuilt {
		t.Fatalf("made %+v, %v", made, err)
	}
	if diff := cmp.Diff(before, mustRead(t, s), cmpNet); diff != "" {
		t.Errorf("changed:\n%s", diff)
	}
}

// What is corrupt is never written over, except by Create, which keeps it.
func TestCorrupt(t *testing.T) {
	for name, content := range map[string]string{
		"empty":          "",
		"cut short":      `{"version":1,"leases":[{"cidr":"10.0`,
		"other format":   `{"version":2}`,
		"no version":     `{}`,
		"twice the same": `{"version":1,"allocations":[{"address":"10.0.0.1"},{"address":"10.0.0.1"}]}`,
		"out of order":   `{"version":1,"allocations":[{"address":"10.0.0.2"},{"address":"10.0.0.1"}]}`,
		"no address":     `{"version":1,"allocations":[{"address":""}]}`,
		"lease unmasked": `{"version":1,"leases":[{"cidr":"10.0.0.1/24"}]}`,
		"no lease CIDR":  `{"version":1,"leases":[{}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			path := filepath.Join(s.dir, stateFile)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, readErr := s.Read()
			updateErr := s.Update(func(*State) error { t.Error("changed a corrupt state"); return nil })
			for _, err := range []error{readErr, updateErr} {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
					t.Errorf("error does not say corrupt and name the file: %v", err)
				}
			}
			if got, _ := os.ReadFile(path); string(got) != content {
				t.Errorf("the file was changed to %q", got)
			}
			_, made, err := Create(s.dir, nil, at(0))
			if err != nil || !made.Rebuilt {
				t.Fatalf("made %+v, %v", made, err)
			}
			if got, err := os.ReadFile(made.Aside); err != nil || string(got) != content {
				t.Errorf("kept aside: %q, %v", got, err)
			}
			mustRead(t, s)
		})
	}
}

func TestUpdateFailureChangesNothing(t *testing.T) {
	s := newStore(t)
	cause := errors.New("no")
	err := s.Update(func(state *State) error { state.CooldownWaived = 7; return cause })
	if err != cause { //nolint:errorlint // it is to come back as it is
		t.Errorf("got %v", err)
	}
	if mustRead(t, s).CooldownWaived != 0 {
		t.Error("a failed update was stored")
	}
}

// No change, no write: readers that watch the file are not woken.
func TestUpdateWithoutChangeWritesNothing(t *testing.T) {
	s := newStore(t)
	path := filepath.Join(s.dir, stateFile)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	mustUpdate(t, s, func(*State) error { return nil })
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the file was written again")
	}
}

// A writer that was killed half-way leaves a temporary file, and no more.
func TestUpdateAfterAKilledWriter(t *testing.T) {
	s := newStore(t)
	if err := os.WriteFile(filepath.Join(s.dir, tempFile), []byte(strings.Repeat("x", 1<<16)), 0o600); err != nil {
		t.Fatal(err)
	}
	mustUpdate(t, s, func(state *State) error { add(t, state, "a", 0); return nil })
	if n := len(mustRead(t, s).Allocations); n != 1 {
		t.Errorf("%d allocations", n)
	}
}

// Many writers and readers at once: no address twice, no torn read.
func TestConcurrentUpdates(t *testing.T) {
	s := newStore(t)
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Read(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range 8 {
		writers.Go(func() {
			for j := range 8 {
				err := s.Update(func(state *State) error {
					_, err := state.Allocate(ask(fmt.Sprintf("%d-%d", i, j), 0))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if n := len(mustRead(t, s).Allocations); n != 64 { // decode refuses duplicates
		t.Errorf("%d allocations, want 64", n)
	}
}

// The lock is another process's until that dies, however it dies.
func TestLockDiesWithItsHolder(t *testing.T) {
	s := newStore(t)
	holder := exec.Command("flock", "--no-fork", filepath.Join(s.dir, lockFile), "sh", "-c", "echo held; exec sleep 60")
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Wait() }()
	defer func() { _ = holder.Process.Kill() }()
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}

	f, err := os.OpenFile(filepath.Join(s.dir, lockFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := flock(int(f.Fd()), 30*time.Millisecond); !errors.Is(err, ErrBusy) {
		t.Errorf("lock that is held: %v", err)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	mustUpdate(t, s, func(state *State) error { add(t, state, "a", 0); return nil })
}
