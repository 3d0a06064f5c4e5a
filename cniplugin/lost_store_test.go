package cniplugin_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/link"
)

// remakeStore removes the store and makes it as the agent does, from the kernel's routes.
func (n *node) remakeStore(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(n.storeDir()); err != nil {
		t.Fatal(err)
	}
	now, err := store.Now()
	if err != nil {
		t.Fatal(err)
	}
	if _, made, err := store.Create(n.storeDir(), func() ([]dataplane.PodRoute, error) { return n.podRoutes(t), nil }, now); err != nil || !made.Rebuilt {
		t.Fatalf("%+v, %v", made, err)
	}
}

// podRoutes are those of the node's kernel, as the agent lists them.
func (n *node) podRoutes(t *testing.T) (routes []dataplane.PodRoute) {
	t.Helper()
	n.ns.Do(t, func() {
		node, err := link.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer node.Close()
		if routes, err = node.PodRoutes(); err != nil {
			t.Fatal(err)
		}
	})
	return routes
}

// The store removed under live pods: verbs refuse or do without it, and once the
// agent has rebuilt it no address is given twice, and DEL, CHECK and GC work.
func TestStoreRemovedUnderLivePods(t *testing.T) {
	n := newNode(t, netip.MustParsePrefix("10.77.1.0/30"), block6)
	a, b, c := n.newPod(t, "1.1.0"), n.newPod(t, "1.1.0"), n.newPod(t, "1.1.0")
	for _, p := range []*pod{a, b, c} {
		p.mustAdd(t)
	}
	routes := n.podRoutes(t)
	if err := os.RemoveAll(n.storeDir()); err != nil {
		t.Fatal(err)
	}
	expect(t, a.check(), types.ErrTryAgainLater, "not there yet")
	if err := c.del(); err != nil {
		t.Errorf("DEL without a store: %v", err)
	}
	n.remakeStore(t)
	if len(routes) != 6 || len(n.state(t).Allocations) != 4 {
		t.Errorf("%d routes of three pods, entries %+v", len(routes), n.state(t).Allocations)
	}
	n.lease(t, netip.MustParsePrefix("10.77.1.0/30"), block6)
	if err := a.check(); err != nil {
		t.Errorf("CHECK after the rebuild: %v", err)
	}
	if _, err := n.run("GC", n.conf("1.1.0", `"cni.dev/valid-attachments":[]`)); err != nil || len(n.state(t).Allocations) != 4 {
		t.Errorf("GC took entries that name no network: %v, %+v", err, n.state(t).Allocations)
	}
	_, err := a.add()
	expect(t, err, 100) // its interface is there
	var got []string
	for range 2 { // two of four addresses are left
		got = append(got, addresses(n.newPod(t, "1.1.0").mustAdd(t))[0].String())
	}
	if diff := cmp.Diff([]string{"10.77.1.2", "10.77.1.3"}, got); diff != "" {
		t.Errorf("addresses after the rebuild (-want +got):\n%s", diff)
	}
	for _, p := range []*pod{a, b} {
		if err := p.del(); err != nil {
			t.Error(err)
		}
	}
	if held := n.state(t).Allocations; len(held) != 4 {
		t.Errorf("held: %+v", held)
	}
}

// A store that a newer program wrote in its own format: nothing is written, a pod
// can end, and every other verb says what to do.
func TestStoreOfANewerFormat(t *testing.T) {
	n := newNode(t, block4)
	p, late := n.newPod(t, "1.1.0"), n.newPod(t, "1.1.0")
	p.mustAdd(t)
	path := filepath.Join(n.storeDir(), "state.json")
	const newer = `{"version":2,"leases":"elsewhere","allocations":[]}`
	if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := late.add()
	expect(t, err, types.ErrTryAgainLater, "format version 2", "a newer fairlead-agent wrote it")
	expect(t, p.check(), types.ErrTryAgainLater, "format version 2")
	_, err = n.run("STATUS", n.conf("1.1.0"))
	expect(t, err, types.ErrPluginNotAvailable, "format version 2")
	if err := p.del(); err != nil {
		t.Errorf("DEL: %v", err)
	}
	if links := n.links(t); len(links) != 0 {
		t.Errorf("links left: %v", links)
	}
	if got, _ := os.ReadFile(path); string(got) != newer {
		t.Errorf("the store was written: %s", got)
	}
}

// What a newer program added to the format stays, whatever an older one does.
func TestStoreKeepsWhatANewerProgramAdded(t *testing.T) {
	n := newNode(t, block4)
	path := filepath.Join(n.storeDir(), "state.json")
	const content = `{"version":1,"era":{"a":1},"leases":[{"cidr":"10.77.1.0/26","uid":"u","pool":"p","quota":5}],` +
		`"allocations":[{"address":"10.77.1.7","kind":"tunnel","peer":"x","hostVeth":""}],"released":[{"address":"10.77.1.9","at":5,"why":"y"}]}`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p := n.newPod(t, "1.1.0")
	p.mustAdd(t)
	if err := p.check(); err != nil {
		t.Error(err)
	}
	if _, err := n.run("GC", n.conf("1.1.0", `"cni.dev/valid-attachments":[]`)); err != nil {
		t.Error(err)
	}
	if err := p.del(); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"era":{"a":1}`, `"quota":5`, `"kind":"tunnel"`, `"peer":"x"`, `"why":"y"`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%s is lost: %s", want, got)
		}
	}
	n.update(t, func(s *store.State) { s.Allocations = nil }) // for the leak check
}
