package store

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/dataplane"
)

// remake removes the store as an operator may, and makes it as the agent does.
func remake(t *testing.T, s *Store) {
	t.Helper()
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Create(s.dir, nil, at(1)); err != nil {
		t.Fatal(err)
	}
	mustUpdate(t, s, func(state *State) error { state.SetLeases(leased("10.0.9.0/24").Leases); return nil })
}

// What was decided on the old state must not overwrite the new one.
func TestUpdateOfAStoreThatIsRemovedMeanwhile(t *testing.T) {
	s := newStore(t)
	err := s.Update(func(state *State) error {
		remake(t, s)
		add(t, state, "a", 0)
		return nil
	})
	if !errors.Is(err, ErrNotReady) {
		t.Errorf("error is %v", err)
	}
	if diff := cmp.Diff(leased("10.0.9.0/24").Leases, mustRead(t, s).Leases, cmpNet); diff != "" {
		t.Errorf("the new store (-want +got):\n%s", diff)
	}
}

// Who waits for a lock that is removed gets that of the new store.
func TestLockThatIsRemovedMeanwhile(t *testing.T) {
	s := newStore(t)
	old, err := s.lock(0)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		l, err := s.lock(0)
		if err == nil && !l.isTheStores() {
			err = errors.New("locked what nobody finds")
		}
		got <- err
	}()
	awaitOpen(t, old.path, 2) // ours and that of who waits
	remake(t, s)
	old.release()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// A folder that could not be removed because a plugin wrote into it is not made a
// store again: the plugin's state would come back over the new one.
func TestCreateInAFolderThatWasEmptied(t *testing.T) {
	s := newStore(t)
	old, err := s.lock(0)
	if err != nil {
		t.Fatal(err)
	}
	defer old.release()
	for _, name := range []string{stateFile, lockFile} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := old.dir.WriteFile(tempFile, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, made, err := Create(s.dir, nil, at(1)); err != nil || !made.Rebuilt {
		t.Fatalf("made %+v, %v", made, err)
	}
	if err := s.write(old.dir, []byte("?")); !errors.Is(err, ErrNotReady) {
		t.Errorf("a writer of the old store: %v", err)
	}
	if state := mustRead(t, s); len(state.Leases) != 0 {
		t.Errorf("the old state is back: %+v", state)
	}
}

// A DEL that comes while the store is made waits, and frees in it what the kernel
// still told of.
func TestUpdateOfAStoreThatIsBeingMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), rundir.Store)
	freed := make(chan error, 1)
	routes := func() ([]dataplane.PodRoute, error) {
		go func() {
			s, err := Open(dir)
			if err == nil {
				err = s.Update(func(state *State) error {
					if n := len(state.Free(who("a"), at(2))); n != 1 {
						return fmt.Errorf("freed %d addresses", n)
					}
					return nil
				})
			}
			freed <- err
		}()
		awaitOpen(t, filepath.Join(dir, lockFile), 2)
		return []dataplane.PodRoute{{Address: netip.MustParseAddr("10.0.0.1"), HostVeth: "fla"}}, nil
	}
	s, made, err := Create(dir, routes, at(1))
	if err != nil || !made.Rebuilt || made.Addresses != 1 {
		t.Fatalf("made %+v, %v", made, err)
	}
	if err := <-freed; err != nil {
		t.Error(err)
	}
	if held := mustRead(t, s).Allocations; len(held) != 0 {
		t.Errorf("left: %+v", held)
	}
}

// awaitOpen waits until this process has the file open so many times.
func awaitOpen(t *testing.T, path string, want int) {
	t.Helper()
	for deadline := time.Now().Add(lockWait); ; time.Sleep(time.Millisecond) {
		fds, err := filepath.Glob("/proc/self/fd/*")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, fd := range fds {
			if name, err := os.Readlink(fd); err == nil && name == path {
				n++
			}
		}
		if n == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is open %d times, want %d", path, n, want)
		}
	}
}

// A killed writer's file goes with the next holder of the lock, change or none.
func TestUpdateWithoutChangeSweeps(t *testing.T) {
	s := newStore(t)
	temp := filepath.Join(s.dir, tempFile)
	if err := os.WriteFile(temp, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustUpdate(t, s, func(*State) error { return nil })
	if _, err := os.Stat(temp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", temp, err)
	}
}
