package filter_test

import (
	"fmt"
	"strings"
	"testing"
)

// Services as kube-proxy makes them, in each way that it has: translated on the
// way in, and masqueraded on the way out where a packet is marked. ADDRESS is a
// Service's, NODE the node's, POD a pod, OUTSIDE another host's.
var kubeProxies = map[string]string{
	"nft": `nft -f - <<'END'
table FAMILY kube-proxy {
  chain services {
    FAMILY daddr ADDRESS udp dport 1001 dnat to OTHER:7
    FAMILY daddr ADDRESS udp dport 1002 dnat to OUTSIDE:7
    FAMILY daddr ADDRESS udp dport 1003 FAMILY saddr POD mark set mark or 0x4000
    FAMILY daddr ADDRESS udp dport 1003 dnat to POD:7
    FAMILY daddr ADDRESS udp dport 1004 mark set mark or 0x4000
    FAMILY daddr ADDRESS udp dport 1004 dnat to OUTSIDE:7
    FAMILY daddr NODE udp dport 30001 dnat to OTHER:7
  }
  chain prerouting { type nat hook prerouting priority dstnat; jump services; }
  chain output { type nat hook output priority -100; jump services; }
  chain postrouting { type nat hook postrouting priority srcnat; mark and 0x4000 == 0 return; mark set mark xor 0x4000; masquerade fully-random; }
}
END`,
	"iptables-nft": "", "iptables-legacy": "",
}

const xtables = `set -e
X -t nat -N SERVICES
X -t nat -A SERVICES -d ADDRESS -p udp --dport 1001 -j DNAT --to-destination OTHER:7
X -t nat -A SERVICES -d ADDRESS -p udp --dport 1002 -j DNAT --to-destination OUTSIDE:7
X -t nat -A SERVICES -d ADDRESS -p udp --dport 1003 -s POD -j MARK --or-mark 0x4000
X -t nat -A SERVICES -d ADDRESS -p udp --dport 1003 -j DNAT --to-destination POD:7
X -t nat -A SERVICES -d ADDRESS -p udp --dport 1004 -j MARK --or-mark 0x4000
X -t nat -A SERVICES -d ADDRESS -p udp --dport 1004 -j DNAT --to-destination OUTSIDE:7
X -t nat -A SERVICES -d NODE -p udp --dport 30001 -j DNAT --to-destination OTHER:7
X -t nat -A PREROUTING -j SERVICES
X -t nat -A OUTPUT -j SERVICES
X -t nat -A POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
X -t nat -A POSTROUTING -j MARK --xor-mark 0x4000
X -t nat -A POSTROUTING -j MASQUERADE --random-fully`

// TestServices is with kube-proxy in all its modes, before us and after us.
func TestServices(t *testing.T) {
	service := [2]string{"10.96.0.10", "fd96::10"}
	for mode, script := range kubeProxies {
		for _, first := range []string{"kube-proxy first", "kube-proxy last"} {
			t.Run(mode+" "+first, func(t *testing.T) {
				s := newSite(t)
				if first == "kube-proxy last" {
					apply(t, s.table, shared())
				}
				for f, family := range []string{"ip", "ip6"} {
					tool, wrap := strings.Replace(mode, "iptables", family+"tables", 1), "%s"
					if f == 1 {
						wrap = "[%s]"
					}
					text := script
					if text == "" {
						text = strings.ReplaceAll(xtables, "X ", tool+" -w ")
					}
					for name, value := range map[string]string{
						"OTHER:7": fmt.Sprintf(wrap, otherAddr[f]) + ":7", "OUTSIDE:7": fmt.Sprintf(wrap, outsideAddr[f]) + ":7", "POD:7": fmt.Sprintf(wrap, podAddr[f]) + ":7",
					} {
						text = strings.ReplaceAll(text, name, value)
					}
					text = strings.NewReplacer("FAMILY", family, "ADDRESS", service[f], "NODE", nodeAddr[f], "POD", podAddr[f]).Replace(text)
					s.node.Run(t, "sh", "-c", text)
				}
				apply(t, s.table, shared())
				for f := range families {
					echo(t, s.pod, podAddr[f])
					expect := func(what, got, want string) {
						t.Helper()
						if got != want {
							t.Errorf("%s, %s: the server sees %s, want %s", families[f], what, got, want)
						}
					}
					seen := func(from, to string, port int) string {
						return dial(t, s.pod, from, to, port).seen(t).Addr().String()
					}
					expect("ClusterIP to a pod", seen("", service[f], 1001), podAddr[f])
					expect("ClusterIP to a host-network endpoint", seen("", service[f], 1002), nodeAddr[f])
					if got := seen("", service[f], 1003); got == podAddr[f] {
						t.Errorf("%s: a pod that reaches itself by a Service is not masqueraded", families[f])
					}
					if got := seen("", service[f], 1004); got != uplinkAddr(f, 1) && got != uplinkAddr(f, 2) {
						t.Errorf("%s: where kube-proxy masquerades too the server sees %s, want the address of an uplink: the choice is its own", families[f], got)
					}
					got := dial(t, s.outside, outsideAddr[f], nodeAddr[f], 30001).seen(t).Addr().String()
					expect("NodePort with externalTrafficPolicy Local", got, outsideAddr[f])
				}
			})
		}
	}
}
