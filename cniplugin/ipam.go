package cniplugin

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"fairlead.dev/cniplugin/store"
)

// ipamVerbs are those of fairlead-ipam (CNI specification 1.1.0, section 4). The
// interface is another plugin's: an address is taken in the store, told, and
// freed. It lives as long as the pod's namespace, which the entry names.
func ipamVerbs() map[string]verb {
	verbs := podVerbs()
	for name, do := range map[string]func(plugin, request, io.Writer) error{
		"ADD": plugin.ipamAdd, "DEL": quiet(plugin.ipamDel), "CHECK": quiet(plugin.ipamCheck),
		"GC": quiet(plugin.ipamGC), "STATUS": quiet(plugin.ipamStatus),
	} {
		v := verbs[name]
		v.do = do
		verbs[name] = v
	}
	return verbs
}

func (r request) ipamAttachment() store.Attachment {
	return store.Attachment{Kind: store.KindIPAM, ContainerID: r.containerID, IfName: r.ifName}
}

func (p plugin) ipamAdd(r request, stdout io.Writer) error {
	c, err := parseIPAM(r.config)
	if err != nil {
		return err
	}
	asked, err := r.readDemand()
	if err != nil {
		return err
	}
	if err := c.checkDemand(asked); err != nil {
		return err
	}
	want, err := r.ipamWants(&c, asked)
	if err != nil {
		return err
	}
	addrs, _, err := c.awaitRoom(func(now store.Stamp) ([]netip.Addr, error) {
		want.Now = now
		return c.allocate(want)
	})
	if err != nil {
		return err
	}
	if err := printResult(stdout, c.result(addrs), r.version); err != nil {
		return errors.Join(err, free(c.place, r.ipamAttachment()))
	}
	return nil
}

// ipamWants has the pod's namespace in it, by which the agent finds out that the
// address is leaked: there is no link of ours that would tell.
func (r request) ipamWants(c *ipamConf, asked demand) (store.Request, error) {
	if !filepath.IsAbs(r.netns) {
		return store.Request{}, fmt.Errorf("%w: CNI_NETNS is %q, must be an absolute path", errEnv, r.netns)
	}
	inode, err := store.NamespaceInode(r.netns)
	if err != nil {
		return store.Request{}, err
	}
	want := r.wants()
	want.Attachment = r.ipamAttachment()
	want.Netns, want.NetnsInode = r.netns, inode
	want.Pools, want.Families, want.Addresses, want.Skip = c.Pools, c.families(), asked.addresses(), c.skip
	return want, nil
}

// allocate takes nothing that does not suit the network.
func (c *ipamConf) allocate(want store.Request) (addrs []netip.Addr, err error) {
	s, err := c.openStore()
	if err != nil {
		return nil, err
	}
	err = s.Update(func(state *store.State) (err error) {
		if addrs, err = state.Allocate(want); err != nil {
			return err
		}
		for _, addr := range addrs {
			if err := c.checkAddress(addr); err != nil {
				return err
			}
		}
		return nil
	})
	return addrs, err
}

// result is the abbreviated one of an IPAM plugin: no interfaces.
func (c *ipamConf) result(addrs []netip.Addr) *types100.Result {
	r := &types100.Result{CNIVersion: types100.ImplementedSpecVersion, Routes: c.routes(), DNS: c.DNS}
	for _, addr := range addrs {
		s := c.subnets[store.FamilyOf(addr)]
		r.IPs = append(r.IPs, &types100.IPConfig{
			Address: ipNet(netip.PrefixFrom(addr, s.bits)), Gateway: s.gateway.AsSlice(),
		})
	}
	return r
}

// routes have their gateway said: plugins that take it from the address on ADD
// miss it on CHECK.
func (c *ipamConf) routes() []*types.Route {
	var routes []*types.Route
	for _, r := range c.Routes {
		dst, _ := netip.AddrFromSlice(r.Dst.IP)
		told := r.Copy()
		if told.GW == nil {
			told.GW = c.subnets[store.FamilyOf(dst.Unmap())].gateway.AsSlice()
		}
		routes = append(routes, told)
	}
	return routes
}

func (p plugin) ipamDel(r request) error {
	c, err := parseIPAMPlace(r.config)
	if err != nil {
		return err
	}
	return p.freeAsFarAsThere(c, r.ipamAttachment())
}

func (p plugin) ipamCheck(r request) error {
	c, err := parseIPAM(r.config)
	if err != nil {
		return err
	}
	prev, err := r.toCheck()
	if err != nil {
		return err
	}
	var listed []netip.Addr
	for _, ip := range prev.IPs {
		if addr, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			listed = append(listed, addr.Unmap())
		}
	}
	_, err = reserved(c.place, r.ipamAttachment(), r.netns, listed)
	return err
}

func (p plugin) ipamGC(r request) error {
	c, err := parseIPAMPlace(r.config)
	if err != nil {
		return err
	}
	stale, err := r.stale(c, store.KindIPAM)
	if noStore(err) {
		return nil // nothing is held
	}
	if err != nil {
		return err
	}
	var gone []store.Attachment
	for _, held := range stale {
		gone = append(gone, attachmentOf(held))
	}
	return freeStale(c, gone)
}

func (p plugin) ipamStatus(r request) error {
	c, err := parseIPAM(r.config)
	if err != nil {
		return err
	}
	return c.available(store.KindIPAM, c.Pools)
}
