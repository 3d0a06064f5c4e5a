package bgp

import (
	"fmt"
	"strings"
)

// birdTor configures a receiver: it waits for both senders and puts all routes into
// its kernel. Its sessions are named for the senders.
func (s *stage) birdTor() string {
	var b strings.Builder
	fmt.Fprintf(&b, "router id %s;\nprotocol device {}\nprotocol kernel { ipv4 { export all; }; }\n", s.wires[0].torAddress())
	for _, w := range s.wires {
		fmt.Fprintf(&b, `protocol bgp %s {
  local as %d; neighbor %s as %d; passive; hold time 30; graceful restart on;
  ipv4 { import all; export none; };
}
`, w.session(), torASN, w.nodeAddress(), nodeASN)
	}
	return b.String()
}

func (w wire) session() string { return fmt.Sprint("sender", w.number) }

// birdSender configures our speaker's counterpart. It announces the prefixes of its
// static protocols, each of which is enabled and disabled by its name. It dials
// as fast as BIRD can be told to.
func (w wire) birdSender(always, one, many int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `router id %s;
protocol device {}
protocol bgp tor {
  local as %d; neighbor %s as %d; hold time 30; graceful restart on;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import none; export all; };
}
`, w.nodeAddress(), nodeASN, w.torAddress(), torASN)
	for _, static := range []struct {
		name, state string
		from, count int
	}{{"routes_base", "", 0, always}, {"routes_one", "disabled;", always, one}, {"routes_many", "disabled;", always, many}} {
		fmt.Fprintf(&b, "protocol static %s { ipv4; %s\n", static.name, static.state)
		for _, p := range w.prefixes(static.from, static.count) {
			fmt.Fprintf(&b, "  route %s blackhole;\n", p)
		}
		b.WriteString("}\n")
	}
	return b.String()
}
