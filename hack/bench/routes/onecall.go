package routes

import (
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink" //nolint:depguard // what is measured beside us is this library

	"fairlead.dev/dataplane"
)

// oneCall has the library's package functions make the routes, one call each, as
// most programs of this field do.
func (k *kernel) oneCall(routes []dataplane.Route) (time.Duration, error) {
	rs := make([]*netlink.Route, len(routes))
	for i, r := range routes {
		rs[i] = &netlink.Route{
			Dst: &net.IPNet{IP: r.Prefix.Addr().AsSlice(), Mask: net.CIDRMask(r.Prefix.Bits(), r.Prefix.Addr().BitLen())},
			Gw:  r.NextHops[0].AsSlice(), Protocol: dataplane.ProtocolRoute, Priority: dataplane.Metric,
		}
	}
	var took time.Duration
	err := k.ns.Inside(func() error {
		start := time.Now()
		for _, r := range rs {
			if err := netlink.RouteAdd(r); err != nil {
				return fmt.Errorf("%s: %s: %w", peerOneCall, r.Dst, err)
			}
		}
		took = time.Since(start)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return took, k.holds(peerOneCall, len(routes))
}
