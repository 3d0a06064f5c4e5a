package link_test

import (
	"fmt"
	"strings"
	"testing"

	"fairlead.dev/dataplane/link"
	"fairlead.dev/dataplane/nstest"
)

// What systemd-udevd does a moment after a link is made, and worse, is put right;
// links of others are left as they are.
func TestMend(t *testing.T) {
	withNode(t, func(node *link.Node, pod *link.Namespace, n, _ nstest.NS) {
		s := spec("a", addr4, addr6)
		if err := node.Wire(pod, s); err != nil {
			t.Fatal(err)
		}
		n.Run(t, "ip", "link", "add", "flannel.1", "type", "veth", "peer", "name", "far")
		drifted := map[string]string{"net.ipv4.conf.%s.rp_filter": "2", "net.ipv4.conf.%s.forwarding": "0", "net.ipv6.conf.%s.accept_ra": "2"}
		for _, l := range []string{s.Host, "flannel/1"} {
			for setting, value := range drifted {
				n.Run(t, "sysctl", "-qw", fmt.Sprintf(setting, l)+"="+value)
			}
		}
		if err := node.Mend("/proc/sys"); err != nil {
			t.Fatal(err)
		}
		for setting, want := range map[string]string{"net.ipv4.conf.%s.rp_filter": "1", "net.ipv4.conf.%s.forwarding": "1", "net.ipv6.conf.%s.accept_ra": "0"} {
			if got := strings.TrimSpace(n.Run(t, "sysctl", "-n", fmt.Sprintf(setting, s.Host))); got != want {
				t.Errorf("%s is %s, want %s", fmt.Sprintf(setting, s.Host), got, want)
			}
			if got := strings.TrimSpace(n.Run(t, "sysctl", "-n", fmt.Sprintf(setting, "flannel/1"))); got != drifted[setting] {
				t.Errorf("%s of another's link is %s, want %s as it was", setting, got, drifted[setting])
			}
		}
	})
}

// BenchmarkMend is a resync on a node with 250 pods, of which nothing has drifted.
func BenchmarkMend(b *testing.B) {
	n := nstest.New(b, "node")
	for i := range 250 {
		name := link.Name(fmt.Sprint(i), "eth0")
		n.Run(b, "ip", "link", "add", name, "type", "veth", "peer", "name", fmt.Sprintf("pod%d", i))
	}
	n.Do(b, func() {
		node, err := link.Dial()
		if err != nil {
			b.Error(err)
			return
		}
		defer node.Close()
		if err := node.Mend("/proc/sys"); err != nil {
			b.Error(err)
		}
		for b.Loop() {
			if err := node.Mend("/proc/sys"); err != nil {
				b.Error(err)
			}
		}
	})
}
