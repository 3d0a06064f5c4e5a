package link_test

import (
	"testing"

	"fairlead.dev/dataplane/link"
	"fairlead.dev/dataplane/nstest"
)

// The overlay's MTU follows the uplinks'. Would it count among them, it would
// follow itself, down to nothing.
func TestUplinkMTUIsNotTheOverlays(t *testing.T) {
	ns := nstest.New(t, "mtu")
	for _, args := range [][]string{
		{"link", "add", "eth0", "type", "veth", "peer", "name", "far0"},
		{"link", "set", "eth0", "up"},
		{"addr", "add", "192.0.2.1/24", "dev", "eth0"},
		{"link", "add", "fairlead-vxlan", "mtu", "1450", "type", "vxlan", "id", "4096", "dstport", "4789", "local", "192.0.2.1"},
		{"link", "set", "fairlead-vxlan", "up"},
		{"addr", "add", "10.244.0.0/32", "dev", "fairlead-vxlan"},
	} {
		ns.Run(t, "ip", args...)
	}
	ns.Do(t, func() {
		n, err := link.Dial()
		if err != nil {
			t.Error(err)
			return
		}
		defer n.Close()
		if got, err := n.UplinkMTU(); got != 1500 || err != nil {
			t.Errorf("of the uplinks: %d, %v, want 1500", got, err)
		}
		if got, err := n.PodMTU(); got != 1450 || err != nil {
			t.Errorf("of pods: %d, %v, want 1450", got, err)
		}
	})
}
