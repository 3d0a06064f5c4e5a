package topology

import (
	"fmt"
	"net/netip"
	"strings"
	"text/template"
)

// Timers of all the lab's sessions, in seconds: short, so that a lost neighbour
// is noticed while somebody watches.
const (
	keepalive = 3
	holdTime  = 9
	retry     = 1
)

// maxPaths is how many equal paths a router installs for a prefix.
const maxPaths = 16

// neighbour is one session, or for nodes a range of them, as the templates see it.
type neighbour struct {
	// Name is unique on the router and plain enough for both daemons.
	Name, Description string
	// Range is set instead of Address where any neighbour of the subnet may connect.
	Range   netip.Prefix
	Address netip.Addr
	Family  Family
	ASN     uint32
	// Password is the TCP MD5 key, "" for none.
	Password string
	// Node says that the neighbour is a node and may announce pod prefixes only.
	Node bool
}

// config is all that a router's configuration says.
type config struct {
	Hostname string
	RouterID netip.Addr
	ASN      uint32
	// Downlink is the link whose own subnet the router announces, "" for none.
	Downlink   string
	Pools      map[Family][]netip.Prefix
	Families   []Family
	Neighbours []neighbour

	Keepalive, HoldTime, Retry, MaxPaths int
}

// Render gives the configuration files of a router, by file name: zebra.conf and
// bgpd.conf for FRR, bird.conf for BIRD.
func (t Topology) Render(router string) (map[string]string, error) {
	c, daemon, err := t.config(router)
	if err != nil {
		return nil, err
	}
	if daemon == BIRD {
		return execute(c, map[string]string{"bird.conf": birdTemplate})
	}
	return execute(c, map[string]string{"zebra.conf": zebraTemplate, "bgpd.conf": bgpdTemplate})
}

func execute(c config, templates map[string]string) (map[string]string, error) {
	files := map[string]string{}
	for name, text := range templates {
		tmpl, err := template.New(name).Parse(text)
		if err != nil {
			return nil, fmt.Errorf("parse template of %s: %w", name, err)
		}
		var b strings.Builder
		if err := tmpl.Execute(&b, c); err != nil {
			return nil, fmt.Errorf("render %s of %s: %w", name, c.Hostname, err)
		}
		files[name] = b.String()
	}
	return files, nil
}

func (t Topology) config(router string) (config, Daemon, error) {
	c := config{
		Hostname: router, RouterID: t.RouterID(router), Families: t.Families(),
		Pools:     map[Family][]netip.Prefix{},
		Keepalive: keepalive, HoldTime: holdTime, Retry: retry, MaxPaths: maxPaths,
	}
	for _, p := range t.Pools {
		f := FamilyOf(p.CIDR.Addr())
		c.Pools[f] = append(c.Pools[f], p.CIDR)
	}
	for _, p := range t.Spare {
		c.Pools[FamilyOf(p.Addr())] = append(c.Pools[FamilyOf(p.Addr())], p)
	}
	for _, r := range t.Racks {
		for _, tor := range r.ToRs {
			if tor.Name == router {
				c.ASN, c.Downlink = r.ToRASN, torDownlink
				c.Neighbours = append(t.nodesOf(r, tor), t.across(tor)...)
				return c, tor.Daemon, nil
			}
		}
	}
	for _, s := range t.Spines {
		if s.Name == router {
			c.ASN, c.Neighbours = t.SpineASN, t.across(s)
			if len(t.Outside.prefixes()) > 0 {
				c.Downlink = spineDownlink
			}
			return c, s.Daemon, nil
		}
	}
	return c, "", fmt.Errorf("router %q: not in the topology", router)
}

func (t Topology) nodesOf(r Rack, tor Router) []neighbour {
	var ns []neighbour
	for _, f := range t.Families() {
		base := neighbour{Family: f, ASN: r.NodeASN, Password: tor.Password, Node: true}
		if !tor.DialsNodes {
			base.Name, base.Description, base.Range = fmt.Sprintf("nodes%d", f), "nodes of "+r.Name, r.Subnet.Of(f).Masked()
			ns = append(ns, base)
			continue
		}
		for _, n := range r.Nodes {
			one := base
			one.Name, one.Description, one.Address = sessionName(n.Name, f), n.Name, r.NodeAddress(f, n)
			ns = append(ns, one)
		}
	}
	return ns
}

// across are the other ends of a router's links between ToRs and spines.
func (t Topology) across(router Router) []neighbour {
	var ns []neighbour
	for _, l := range t.Links() {
		other, end, asn := l.Spine, l.SpineEnd, l.SpineASN
		switch router.Name {
		case l.Spine.Name:
			other, end, asn = l.ToR, l.ToREnd, l.ToRASN
		case l.ToR.Name:
		default:
			continue
		}
		for _, f := range t.Families() {
			ns = append(ns, neighbour{
				Name: sessionName(other.Name, f), Description: other.Name,
				Address: end.Of(f).Addr(), Family: f, ASN: asn,
			})
		}
	}
	return ns
}

// sessionName is a neighbour's and family's name in a form that BIRD takes as a symbol.
func sessionName(neighbour string, f Family) string {
	return fmt.Sprintf("%s_v%d", strings.ReplaceAll(neighbour, "-", "_"), f)
}
