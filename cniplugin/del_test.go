package cniplugin_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// DEL, Section 2: a namespace path that has come to lead to the node's own, as
// /proc/PID/ns/net may after a reboot.
func TestDelWithTheNodesOwnNamespace(t *testing.T) {
	n := newNode(t, block4, block6)
	p := n.newPod(t, "1.1.0")
	p.mustAdd(t)
	if _, err := n.run("DEL", n.conf("1.1.0"), "CNI_CONTAINERID="+p.rt.ContainerID, "CNI_NETNS="+n.ns.Path(), "CNI_IFNAME=eth0"); err != nil {
		t.Errorf("DEL: %v", err)
	}
	n.checkNothingLeft(t)
}

// DEL, Section 2: best effort, whatever is in the rest of the configuration.
func TestDelWithAConfigurationThatIsWrong(t *testing.T) {
	n := newNode(t, block4)
	p := n.newPod(t, "1.1.0")
	p.mustAdd(t)
	wrong := n.conf("1.1.0", `"mtu":"much"`, `"pools":{}`, `"prevResult":[1]`, `"runtimeConfig":{"ips":7,"mac":7}`)
	if _, err := n.run("DEL", wrong, p.env()...); err != nil {
		t.Errorf("DEL: %v", err)
	}
	n.checkNothingLeft(t)
}

// DEL after a reboot: the store is new, others have the addresses that the stale
// result lists, and keep them.
func TestDelAfterARebootFreesNobodyElses(t *testing.T) {
	n := newNode(t, netip.MustParsePrefix("10.77.1.0/32"), netip.MustParsePrefix("fd77:1::/128"))
	old := n.newPod(t, "1.1.0")
	stale := old.mustAdd(t)
	n.ns.Run(t, "ip", "link", "del", stale.Interfaces[0].Name) // as all that was in the kernel
	n.remakeStore(t)
	n.lease(t, netip.MustParsePrefix("10.77.1.0/32"), netip.MustParsePrefix("fd77:1::/128"))
	heir := n.newPod(t, "1.1.0")
	if diff := cmp.Diff(fmt.Sprint(addresses(stale)), fmt.Sprint(addresses(heir.mustAdd(t)))); diff != "" {
		t.Fatalf("the test is about the same addresses:\n%s", diff)
	}
	for _, netns := range []string{old.rt.NetNS, "", "/run/netns/gone", heir.rt.NetNS} {
		_, err := n.run("DEL", n.conf("1.1.0", `"prevResult":`+asJSON(t, stale)),
			"CNI_CONTAINERID="+old.rt.ContainerID, "CNI_NETNS="+netns, "CNI_IFNAME=eth0")
		if err != nil {
			t.Errorf("DEL with namespace %q: %v", netns, err)
		}
	}
	if held := n.state(t).Allocations; len(held) != 2 || held[0].ContainerID != heir.rt.ContainerID {
		t.Errorf("held after the late DEL: %+v", held)
	}
	if err := heir.check(); err != nil {
		t.Errorf("the heir: %v", err)
	}
}
