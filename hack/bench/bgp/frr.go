package bgp

import (
	"fmt"
	"strings"
)

// frrTor configures bgpd as a receiver.
func (s *stage) frrTor() string {
	var b strings.Builder
	fmt.Fprintf(&b, "router bgp %d\n bgp router-id %s\n no bgp ebgp-requires-policy\n", torASN, s.wires[0].torAddress())
	for _, w := range s.wires {
		a := w.nodeAddress()
		fmt.Fprintf(&b, " neighbor %s remote-as %d\n neighbor %s passive\n neighbor %s timers 10 30\n", a, nodeASN, a, a)
	}
	return b.String()
}
