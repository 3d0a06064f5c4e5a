package cniplugin_test

import (
	"strings"
	"testing"

	"fairlead.dev/cniplugin/store"
)

// GC, Section 2: without output, and of this plugin's attachments alone.
func TestGCLeavesOtherKinds(t *testing.T) {
	n := newNode(t, block4)
	p := n.newPod(t, "1.1.0")
	p.mustAdd(t)
	n.update(t, func(s *store.State) {
		_, err := s.Allocate(store.Request{
			Attachment: store.Attachment{Kind: store.KindIPAM, ContainerID: "other", IfName: "net1"}, Network: "testnet", Pools: []string{"test"},
		})
		if err != nil {
			t.Error(err)
		}
	})
	out, err := n.run("GC", n.conf("1.1.0", `"cni.dev/valid-attachments":[]`))
	if err != nil || out != "" {
		t.Errorf("GC said %q, %v", out, err)
	}
	held := n.state(t).Allocations
	if len(held) != 1 || held[0].Kind != store.KindIPAM || len(n.links(t)) != 0 {
		t.Errorf("held after GC: %+v", held)
	}
	n.update(t, func(s *store.State) { s.Allocations = nil })
}

// GC, Section 2: an error does not stop it; what it could not undo stays taken,
// and is told.
func TestGCGoesOnAfterAnError(t *testing.T) {
	n := newNode(t, block4, block6)
	a, b := n.newPod(t, "1.1.0"), n.newPod(t, "1.1.0")
	for _, p := range []*pod{a, b} {
		p.mustAdd(t)
	}
	odd := store.Attachment{ContainerID: "odd", IfName: "eth0", HostVeth: "notours"}
	n.update(t, func(s *store.State) { // the first by address, and so first in turn
		s.Allocations[0].ContainerID, s.Allocations[0].HostVeth = odd.ContainerID, odd.HostVeth
	})
	_, err := n.run("GC", n.conf("1.1.0", `"cni.dev/valid-attachments":[]`))
	if err == nil || !strings.Contains(err.Error(), `container odd, interface eth0: delete link "notours"`) {
		t.Errorf("GC: %v", err)
	}
	if held := n.state(t).Allocations; len(held) != 1 || held[0].ContainerID != "odd" || len(n.links(t)) != 0 {
		t.Errorf("held after GC: %+v, links %v", held, n.links(t))
	}
	n.update(t, func(s *store.State) { s.Free(odd, store.Stamp{}) })
}
