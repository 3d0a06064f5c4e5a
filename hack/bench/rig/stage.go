package rig

import (
	"context"

	"fairlead.dev/dataplane/nstest"
)

// Ends are what has to be ended.
type Ends []func()

// Add adds one more.
func (e *Ends) Add(end func()) { *e = append(*e, end) }

// Close ends everything, the last made first.
func (e *Ends) Close() {
	for i := len(*e) - 1; i >= 0; i-- {
		(*e)[i]()
	}
	*e = nil
}

// Link makes a link from a node's uplink to a port of its ToR, each with an address
// and the length of its subnet.
func Link(ctx context.Context, node, tor nstest.NS, port, nodeAddress, torAddress string) error {
	for _, c := range []struct {
		ns   nstest.NS
		argv []string
	}{
		{node, []string{"ip", "link", "add", "uplink", "type", "veth", "peer", "name", port, "netns", tor.Name}},
		{node, []string{"ip", "address", "add", nodeAddress, "dev", "uplink"}},
		{node, []string{"ip", "link", "set", "uplink", "up"}},
		{tor, []string{"ip", "address", "add", torAddress, "dev", port}},
		{tor, []string{"ip", "link", "set", port, "up"}},
	} {
		if _, err := Run(ctx, c.ns, c.argv...); err != nil {
			return err
		}
	}
	return nil
}
