package route

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
)

// ways are the links on which the kernel has the subnets of next hops now. A route
// keeps the link of when it was made: when a node's address moves to another one,
// the kernel leaves its neighbours' routes where nobody answers any more. A next
// hop that is in no subnet of the node's is not among them, and left as it is.
type ways map[netip.Addr]uint32

// lookUp asks for the ways to next hops that leave the link to the kernel, if the
// watch has told of links or addresses since it was last done, and once after the
// start: otherwise it returns nil, which finds nothing amiss.
func (t *Table) lookUp(want []dataplane.Route) (ways, error) {
	if len(want) == 0 || !t.moved.Swap(false) {
		return nil, nil
	}
	out := ways{}
	var last []netip.Addr
	for i := range want {
		r := &want[i]
		if r.Link != "" || slices.Equal(r.NextHops, last) {
			continue
		}
		last = r.NextHops
		for _, hop := range r.NextHops {
			if _, known := out[hop]; known || hop.Zone() != "" {
				continue
			}
			at, ok, err := t.conn.Lookup(hop)
			if err != nil {
				t.moved.Store(true)
				return nil, err
			}
			out[hop] = 0
			if ok && at.Type == unix.RTN_UNICAST && len(at.Hops) == 1 && !at.Hops[0].Addr.IsValid() {
				out[hop] = at.Hops[0].Link
			}
		}
	}
	return out, nil
}

// leads says whether a route by that link reaches the next hop, as far as is known.
func (w ways) leads(hop netip.Addr, link uint32) bool { return w[hop] == 0 || w[hop] == link }
