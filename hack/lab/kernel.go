package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"fairlead.dev/dataplane"
	"fairlead.dev/hack/lab/topology"
)

// AgentProtocol is the protocol of the agent's routes as iproute2 shows it.
func AgentProtocol() string { return strconv.Itoa(dataplane.ProtocolRoute) }

// PluginProtocol is the protocol of the plugin's routes as iproute2 shows it.
func PluginProtocol() string { return strconv.Itoa(dataplane.ProtocolPod) }

// KernelRoute is a route of a namespace's main table.
type KernelRoute struct {
	Prefix netip.Prefix
	// Type is unicast, blackhole, ...
	Type string
	// Protocol is iproute2's name or number of who made it: kernel, bgp, bird, 170.
	Protocol string
	// NextHops, sorted; empty for a route to a link.
	NextHops []netip.Addr
	// Device is the link of a route with at most one next hop.
	Device string
}

// KernelRoutes of a role's main table, sorted by prefix.
func (l *Lab) KernelRoutes(ctx context.Context, role string, f topology.Family) ([]KernelRoute, error) {
	out, err := l.Exec(ctx, role, "ip", fmt.Sprintf("-%d", f.Number()), "-j", "-d", "route", "show", "table", "main")
	if err != nil {
		return nil, err
	}
	routes, err := parseKernelRoutes([]byte(out), f)
	if err != nil {
		return nil, fmt.Errorf("kernel routes of %s: %w", role, err)
	}
	return routes, nil
}

type ipRoute struct {
	Dst      string `json:"dst"`
	Type     string `json:"type"`
	Protocol string `json:"protocol"`
	Dev      string `json:"dev"`
	ipHop
	NextHops []ipHop `json:"nexthops"`
}

// ipHop names its gateway by "via" if it is of another family than the route.
type ipHop struct {
	Gateway string `json:"gateway"`
	Via     struct {
		Host string `json:"host"`
	} `json:"via"`
}

func parseKernelRoutes(data []byte, f topology.Family) ([]KernelRoute, error) {
	var raw []ipRoute
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, err
	}
	var routes []KernelRoute
	for _, r := range raw {
		prefix, err := parseDestination(r.Dst, f)
		if err != nil {
			return nil, err
		}
		route := KernelRoute{Prefix: prefix, Type: r.Type, Protocol: r.Protocol, Device: r.Dev}
		for _, hop := range append(r.NextHops, r.ipHop) {
			for _, s := range []string{hop.Gateway, hop.Via.Host} {
				if a, err := netip.ParseAddr(s); err == nil {
					route.NextHops = append(route.NextHops, a)
				}
			}
		}
		slices.SortFunc(route.NextHops, netip.Addr.Compare)
		routes = append(routes, route)
	}
	slices.SortStableFunc(routes, func(a, b KernelRoute) int { return a.Prefix.Compare(b.Prefix) })
	return routes, nil
}

// parseDestination reads iproute2's "default", "10.0.0.0/8", and "10.0.0.1" for a host.
func parseDestination(s string, f topology.Family) (netip.Prefix, error) {
	if s == "default" {
		return map[topology.Family]netip.Prefix{
			topology.V4: netip.PrefixFrom(netip.IPv4Unspecified(), 0),
			topology.V6: netip.PrefixFrom(netip.IPv6Unspecified(), 0),
		}[f], nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("destination: %w", err)
	}
	return p, nil
}
