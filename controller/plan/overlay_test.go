package plan_test

import (
	"net/netip"
	"testing"

	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
)

// Without a device what BGP has a way for goes that way, and the rest stays as it
// is: it may be a moment's fault.
func TestBrokenOverlay(t *testing.T) {
	s := read(t, "testdata/overlay.snapshot.yaml")
	s.Overlay.Broken = true
	p, _ := plan.Compute(s)
	links := map[string]string{}
	for _, r := range p.Routes {
		links[r.Prefix.String()] = r.Link
	}
	for prefix, want := range map[string]string{"10.244.1.0/26": "", "10.244.2.0/26": dataplane.OverlayLink, "10.245.1.0/26": ""} {
		if got, there := links[prefix]; !there || got != want {
			t.Errorf("%s is on link %q (%v), want %q", prefix, got, there, want)
		}
	}
	if p.Overlay.Want == nil {
		t.Error("the device is not wanted any more")
	}
}

// A node whose addresses are not known leaves its device as it is.
func TestOverlayWithoutAddress(t *testing.T) {
	s := read(t, "testdata/overlay.snapshot.yaml")
	s.Intent.Node.Spec.Addresses = nil
	p, problems := plan.Compute(s)
	if p.Overlay.Want != nil || !p.Overlay.Wanted {
		t.Errorf("got %+v", p.Overlay)
	}
	if len(problems) != 1 || problems[0].Field != "spec.addresses" {
		t.Errorf("got %v", problems)
	}
}

// Each of a thousand nodes with four blocks has one VTEP.
func TestManyNodes(t *testing.T) {
	s := read(t, "testdata/overlaymove.snapshot.yaml")
	node, block := s.Intent.Mesh[0], s.Intent.MeshBlocks[0]
	s.Intent.Mesh, s.Intent.MeshBlocks = nil, nil
	addr, cidr := netip.MustParseAddr("10.2.0.1"), netip.MustParsePrefix("10.244.2.0/28")
	for range 1000 {
		node.Name, node.Spec.Addresses = "node-"+addr.String(), []string{addr.String()}
		s.Intent.Mesh = append(s.Intent.Mesh, node)
		for range 4 {
			block.Spec.CIDR, block.Spec.NodeName = cidr.String(), node.Name
			s.Intent.MeshBlocks = append(s.Intent.MeshBlocks, block)
			for range 16 {
				cidr = netip.PrefixFrom(cidr.Addr().Next(), 28)
			}
		}
		addr = addr.Next()
	}
	p, problems := plan.Compute(s)
	if len(p.Overlay.Want.VTEPs) != 1000 || len(p.Overlay.Nodes) != 4000 || len(problems) != 0 {
		t.Errorf("%d VTEPs, %d blocks, problems %v", len(p.Overlay.Want.VTEPs), len(p.Overlay.Nodes), problems)
	}
}
