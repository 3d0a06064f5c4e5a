package behaviour

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fairlead.dev/cniplugin/install"
	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
)

// attachmentsOutlive is about addresses of fairlead-ipam, of which no route tells:
// a store made anew has them from the pod's namespace, and they are freed with it.
func (s *scene) attachmentsOutlive(t *testing.T) {
	const name = "attached"
	block := s.quiet(t, name, "10.98.9.0/28")
	ns := s.NSName(name)
	s.ip(t, "netns", "add", ns)
	t.Cleanup(func() { // it is gone already, unless the test failed
		_ = exec.CommandContext(context.WithoutCancel(t.Context()), "ip", "netns", "del", ns).Run()
	})
	conf, err := json.Marshal(map[string]any{
		"cniVersion": "1.0.0", "name": name, "type": "macvlan",
		"ipam": map[string]any{"type": install.IPAMName, "pools": []string{name}, "prefixLength": 28, "runDir": s.Node("n1").RunDir()},
	})
	if err != nil {
		t.Fatal(err)
	}
	add := func(container string) netip.Addr {
		out, code := s.program(t, install.IPAMName, conf, call{"ADD", container, filepath.Join("/run/netns", ns), "net1"})
		var result struct {
			IPs []struct{ Address netip.Prefix }
		}
		if err := json.Unmarshal([]byte(out), &result); err != nil || code != 0 || len(result.IPs) != 1 {
			t.Fatalf("ADD of %s: exit code %d, %v: %s", container, code, err, out)
		}
		if a := result.IPs[0].Address; !block.Contains(a.Addr()) || a.Bits() != 28 {
			t.Errorf("ADD of %s: %s, want one of %s, with length 28", container, a, block)
		}
		return result.IPs[0].Address.Addr()
	}
	first := add("first-" + s.Instance)
	s.ip(t, "-n", ns, "link", "set", "lo", "up")
	s.ip(t, "-n", ns, "addr", "add", first.String()+"/28", "dev", "lo") // as the other plugin would
	if got := s.attachments(t); got[first] != "first-"+s.Instance {
		t.Errorf("the store holds %v", got)
	}

	if err := os.RemoveAll(filepath.Join(s.Node("n1").RunDir(), rundir.Store)); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "a store with the attachment's address", func(context.Context) error {
		got := s.attachments(t)
		if container, held := got[first]; !held || container != "" || len(got) != 1 {
			return fmt.Errorf("it holds %v, want %s, of a container unknown", got, first)
		}
		return s.blockIs(t, "n1", block, false, false)
	})
	second := add("second-" + s.Instance)
	if second == first {
		t.Errorf("%s was given out twice", first)
	}
	s.connected(t)

	s.ip(t, "netns", "del", ns)
	// Something that changes the store wakes the agent before its next resync.
	if out, code := s.program(t, install.IPAMName, conf, call{"DEL", "second-" + s.Instance, "", "net1"}); code != 0 {
		t.Errorf("DEL: exit code %d: %s", code, out)
	}
	s.eventually(t, "the address of the namespace that is gone comes free", func(context.Context) error {
		if got := s.attachments(t); len(got) > 0 {
			return fmt.Errorf("it holds %v", got)
		}
		return nil
	})
}

// attachments are the addresses of fairlead-ipam in n1's store, with their
// containers; none while there is no store.
func (s *scene) attachments(t *testing.T) map[netip.Addr]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Node("n1").RunDir(), rundir.Store, "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var st store.State
	if err := errors.Join(err, json.Unmarshal(data, &st)); err != nil {
		t.Fatal(err)
	}
	held := map[netip.Addr]string{}
	for _, a := range st.Allocations {
		if a.Kind == store.KindIPAM {
			held[a.Address] = a.ContainerID
		}
	}
	return held
}

func (s *scene) ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}
