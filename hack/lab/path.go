package lab

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxHops of a traced path; the longest in the default topology is 6.
const maxHops = 12

// Hop is one station of a packet.
type Hop struct {
	// Address that answered; invalid if none did.
	Address netip.Addr
	// Role of the router, node or pod that has the address, "" if none is known.
	Role string
}

// Path traces a packet from a role's or pod's namespace, hop by hop. All probes
// are of one flow, so that with several equal paths it is one of them.
func (l *Lab) Path(ctx context.Context, role string, to netip.Addr) ([]Hop, error) {
	out, err := l.Exec(ctx, role, "traceroute", "-n", "-I", "-q", "1", "-w", "1", "-m", strconv.Itoa(maxHops), to.String())
	if err != nil {
		return nil, fmt.Errorf("path to %s from %s: %w", to, role, err)
	}
	owners := l.Topology().Owners()
	for _, p := range l.Pods() {
		for _, a := range p.Addresses {
			owners[a] = p.Role()
		}
	}
	hops, err := parsePath(out)
	if err != nil {
		return nil, fmt.Errorf("path to %s from %s: %w", to, role, err)
	}
	for i := range hops {
		hops[i].Role = owners[hops[i].Address]
	}
	return hops, nil
}

// parsePath reads traceroute's "1  10.0.0.1  0.051 ms" and "2  *" lines.
func parsePath(out string) ([]Hop, error) {
	var hops []Hop
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		if n, err := strconv.Atoi(fields[0]); err != nil || n != len(hops)+1 {
			continue // the title
		}
		var hop Hop
		if fields[1] != "*" {
			a, err := netip.ParseAddr(fields[1])
			if err != nil {
				return nil, fmt.Errorf("hop %d: %w", len(hops)+1, err)
			}
			hop.Address = a
		}
		hops = append(hops, hop)
	}
	return hops, nil
}
