package cniplugin

import (
	"fmt"
	"net/netip"
	"slices"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/link"
)

// check implements CHECK: the addresses are reserved, and the kernel passes
// packets between them and the node. What a later plugin of the chain took out
// of the result is not missed.
func (p plugin) check(r request) error {
	c, err := parseConf(r.config)
	if err != nil {
		return err
	}
	prev, err := r.toCheck()
	if err != nil {
		return err
	}
	want, err := r.expectation(c.place, prev)
	if err != nil {
		return err
	}
	asked, err := r.readDemand()
	if err != nil {
		return err
	}
	want.MAC = link.Spec{Host: want.Host, MAC: asked.mac}.PodMAC()
	pod, err := link.OpenNamespace(r.netns)
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
func (r request) expectation(c place, prev *types100.Result) (link.Expectation, error) {
	who := r.attachment()
	want := link.Expectation{Host: who.HostVeth, Pod: r.ifName}
	held, err := reserved(c, who, r.netns, podAddresses(prev, r))
	if err != nil {
		return want, err
	}
	want.Addresses = held
	for _, addr := range want.Addresses {
		if gateway := link.Gateway(addr); hasDefault(prev, gateway) {
			want.Gateways = append(want.Gateways, gateway)
		}
	}
	return want, nil
}

// reserved are those addresses that the attachment holds, at least one.
func reserved(c place, who store.Attachment, netns string, listed []netip.Addr) ([]netip.Addr, error) {
	s, err := c.openStore()
	if err != nil {
		return nil, err
	}
	state, err := s.Read()
	if err != nil {
		return nil, err
	}
	held := append(state.Held(who), adopted(state, who, netns)...)
	addrs := slices.DeleteFunc(listed, func(addr netip.Addr) bool {
		return !slices.ContainsFunc(held, func(a store.Allocation) bool { return a.Address == addr })
	})
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%w: no address that prevResult lists for %s is reserved for container %s", errCheck, who.IfName, who.ContainerID)
	}
	return addrs, nil
}

// adopted are entries of the pod's namespace that the agent made anew: they know
// no container, and no link of ours tells of it as it does of a pod's own.
func adopted(state store.State, who store.Attachment, netns string) []store.Allocation {
	return slices.DeleteFunc(slices.Clone(state.Allocations), func(a store.Allocation) bool {
		return who.Kind != store.KindIPAM || a.Kind != store.KindIPAM || a.ContainerID != "" || a.Netns != netns
	})
}

// podAddresses are those that the result lists for the attachment's interface.
func podAddresses(prev *types100.Result, r request) []netip.Addr {
	var addrs []netip.Addr
	for _, ip := range prev.IPs {
		if ip.Interface == nil || *ip.Interface < 0 || *ip.Interface >= len(prev.Interfaces) {
			continue
		}
		on := prev.Interfaces[*ip.Interface]
		if on == nil || on.Name != r.ifName || on.Sandbox != r.netns {
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
