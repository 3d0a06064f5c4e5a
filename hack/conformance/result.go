package conformance

import (
	"net/netip"
	"slices"
)

// result is the success of ADD, as JSON has it.
type result struct {
	CNIVersion string
	Interfaces []netInterface
	IPs        []struct {
		// Version is of 0.3.1 and 0.4.0 only.
		Version   string
		Address   netip.Prefix
		Gateway   netip.Addr
		Interface *int
	}
	Routes []struct {
		Dst netip.Prefix
		GW  netip.Addr
	}
	DNS struct{ Nameservers []string }
}

type netInterface struct {
	Name, Mac, Sandbox string
	MTU                int
}

// result reads the answer of an ADD that succeeded.
func (t *Trial) result(a Answer) result {
	var r result
	if err := only(a.Stdout, &r); err != nil {
		t.note("%v", err)
		t.fail("the output of ADD is not one result object")
	}
	return r
}

// addresses of a result.
func (r result) addresses() []netip.Addr {
	var addrs []netip.Addr
	for _, ip := range r.IPs {
		addrs = append(addrs, ip.Address.Addr())
	}
	return addrs
}

// hostEnds are the interfaces on the node.
func (r result) hostEnds() []netInterface {
	return slices.DeleteFunc(slices.Clone(r.Interfaces), func(i netInterface) bool { return i.Sandbox != "" })
}

// hostEnd is the first of hostEnds.
func (t *Trial) hostEnd(r result) netInterface {
	ends := r.hostEnds()
	if len(ends) == 0 {
		t.fail("the result lists no interface on the host")
	}
	return ends[0]
}

// inside is the container's interface, and its index.
func (t *Trial) inside(r result, c *container) (netInterface, int) {
	i := slices.IndexFunc(r.Interfaces, func(i netInterface) bool { return i.Name == c.ifName && i.Sandbox == c.netns() })
	if i < 0 {
		t.fail("the result does not list the interface with its name and CNI_NETNS as sandbox")
	}
	return r.Interfaces[i], i
}
