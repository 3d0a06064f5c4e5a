package cniplugin_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"fairlead.dev/cniplugin/store"
)

// STATUS answers from the store alone: with the agent dead and the uplink down for
// longer than ten minutes, the node stays Ready. Time is in the files, all of it.
func TestStatusOutlivesAgentAndRouter(t *testing.T) {
	n := newNode(t, block4, block6)
	n.newPod(t, "1.1.0").mustAdd(t)
	n.ns.Run(t, "ip", "link", "set", "lo", "down") // the only link that is no pod's
	n.update(t, func(s *store.State) {
		for i := range s.Allocations {
			s.Allocations[i].At -= 11 * time.Minute
		}
	})
	long := time.Now().Add(-11 * time.Minute)
	for _, name := range []string{".", "state.json", "lock"} {
		if err := os.Chtimes(filepath.Join(n.storeDir(), name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.run("STATUS", n.conf("1.1.0")); err != nil {
		t.Errorf("STATUS: %v", err)
	}
	n.newPod(t, "1.1.0").mustAdd(t)
}

// STATUS takes no lock: a stopped process that holds it does not make the node NotReady.
func TestStatusDoesNotWait(t *testing.T) {
	n := newNode(t, block4)
	s, err := store.Open(n.storeDir())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(func(*store.State) error {
		_, err := n.run("STATUS", n.conf("1.1.0")) // within the lock
		return err
	})
	if err != nil {
		t.Errorf("STATUS: %v", err)
	}
}

// STATUS of a network of certain pools.
func TestStatusOfPools(t *testing.T) {
	n := newNode(t, block4)
	n.update(t, func(s *store.State) {
		s.SetLeases([]store.Lease{
			{CIDR: block4, UID: "a", Pool: "blue"}, {CIDR: block6, UID: "b", Pool: "lan", IPAMOnly: true},
		})
	})
	for pools, want := range map[string]uint{
		`["blue"]`: 0, `["red","blue"]`: 0, `["red"]`: types.ErrPluginNotAvailable, `["lan"]`: types.ErrPluginNotAvailable,
	} {
		_, err := n.run("STATUS", n.conf("1.1.0", `"pools":`+pools))
		if code(err) != want || (err == nil) != (want == 0) {
			t.Errorf("%s: %v, want code %d", pools, err, want)
		}
	}
	n.update(t, func(s *store.State) { s.SetLeases(s.Leases[1:]) }) // only what is not for pods
	_, err := n.run("STATUS", n.conf("1.1.0"))
	expect(t, err, types.ErrPluginNotAvailable, "no address block")
}
