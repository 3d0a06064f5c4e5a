package cniplugin

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/containernetworking/cni/pkg/skel"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/link"
)

// check implements CHECK: the addresses are reserved, and the kernel passes
// packets between them and the node. What a later plugin of the chain took out
// of the result is not missed.
func (p plugin) check(args *skel.CmdArgs) error {
	c, err := parseConf(args.StdinData)
	if err != nil {
		return err
	}
	prev, err := c.previous()
	if err != nil {
		return err
	}
	if prev == nil {
		return fmt.Errorf("%w: prevResult is missing, CHECK needs that of ADD", errConf)
	}
	want, err := expectation(c, args, prev)
	if err != nil {
		return err
	}
	pod, err := link.OpenNamespace(args.Netns)
	if err != nil {
		return err
	}
	defer pod.Close()
	node, err := link.Dial()
	if err != nil {
		return err
	}
	defer node.Close()
	if err := node.Check(pod, want); err != nil {
		return fmt.Errorf("%w: %w", errCheck, err)
	}
	return nil
}

// expectation is what both the store and the result say.
func expectation(c conf, args *skel.CmdArgs, prev *types100.Result) (link.Expectation, error) {
	s, err := c.openStore()
	if err != nil {
		return link.Expectation{}, err
	}
	state, err := s.Read()
	if err != nil {
		return link.Expectation{}, err
	}
	who := attachment(args.ContainerID, args.IfName)
	want := link.Expectation{Host: who.HostVeth, Pod: args.IfName}
	held := state.Held(who)
	for _, addr := range podAddresses(prev, args) {
		if slices.ContainsFunc(held, func(a store.Allocation) bool { return a.Address == addr }) {
			want.Addresses = append(want.Addresses, addr)
		}
	}
	if len(want.Addresses) == 0 {
		return want, fmt.Errorf("%w: no address that prevResult lists for %s is reserved for this container", errCheck, args.IfName)
	}
	for _, addr := range want.Addresses {
		if gateway := link.Gateway(addr); hasDefault(prev, gateway) {
			want.Gateways = append(want.Gateways, gateway)
		}
	}
	return want, nil
}

// podAddresses are those that the result lists for the attachment's interface.
func podAddresses(prev *types100.Result, args *skel.CmdArgs) []netip.Addr {
	var addrs []netip.Addr
	for _, ip := range prev.IPs {
		if ip.Interface == nil || *ip.Interface < 0 || *ip.Interface >= len(prev.Interfaces) {
			continue
		}
		on := prev.Interfaces[*ip.Interface]
		if on == nil || on.Name != args.IfName || on.Sandbox != args.Netns {
			continue
		}
		if addr, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			addrs = append(addrs, addr.Unmap())
		}
	}
	return addrs
}

func hasDefault(prev *types100.Result, gateway netip.Addr) bool {
	for _, r := range prev.Routes {
		if r == nil {
			continue
		}
		via, _ := netip.AddrFromSlice(r.GW)
		if ones, _ := r.Dst.Mask.Size(); ones == 0 && via.Unmap() == gateway {
			return true
		}
	}
	return false
}
