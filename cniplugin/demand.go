package cniplugin

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/nl"
)

// demand is what one attachment asks for beyond its network's configuration.
type demand struct {
	// ips are addresses, those that were written with a length as prefixes of it.
	ips []netip.Prefix
	// mac is zero if none is asked for.
	mac nl.MAC
}

// readDemand takes each of ips and mac from the first place that has it: the
// capabilities that a runtime passes by the specification (runtimeConfig), then
// the convention of args.cni, then that of CNI_ARGS, as the CNI conventions order
// the two.
func (r request) readDemand() (demand, error) {
	type asked struct {
		IPs []string `json:"ips"`
		MAC string   `json:"mac"`
	}
	var in struct {
		RuntimeConfig asked `json:"runtimeConfig"`
		Args          struct {
			CNI asked `json:"cni"`
		} `json:"args"`
	}
	if r.mentions("runtimeConfig", "args") {
		if err := json.Unmarshal(r.config, &in); err != nil {
			return demand{}, fmt.Errorf("%w: %w", errDecode, err)
		}
	}
	var byEnv asked
	if list := r.arg("IP"); list != "" {
		byEnv.IPs = strings.Split(list, ",")
	}
	byEnv.MAC = r.arg("MAC")
	var d demand
	for _, from := range []struct {
		asked
		name    string
		invalid error
	}{
		{in.RuntimeConfig, "runtimeConfig.", errConf}, {in.Args.CNI, "args.cni.", errConf}, {byEnv, "CNI_ARGS: ", errEnv},
	} {
		var err error
		if len(d.ips) == 0 {
			if d.ips, err = parseIPs(from.IPs); err != nil {
				return d, fmt.Errorf("%w: %sips: %w", from.invalid, from.name, err)
			}
		}
		if d.mac == (nl.MAC{}) && from.MAC != "" {
			if d.mac, err = parseMAC(from.MAC); err != nil {
				return d, fmt.Errorf("%w: %smac: %w", from.invalid, from.name, err)
			}
		}
	}
	return d, nil
}

// parseIPs takes addresses and CIDRs, at most one of a family: a pod has one
// address of each.
func parseIPs(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	seen := map[store.Family]bool{}
	for _, text := range list {
		ip, err := parseIP(text)
		if err != nil {
			return nil, err
		}
		f := store.FamilyOf(ip.Addr())
		if seen[f] {
			return nil, fmt.Errorf("%q is a second %s address, at most one of a family can be asked for", text, f)
		}
		seen[f] = true
		out = append(out, ip)
	}
	return out, nil
}

func parseIP(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q must be an address, with or without a prefix length", text)
	}
	return prefix, nil
}

// parseMAC takes an Ethernet address that one interface can have.
func parseMAC(text string) (m nl.MAC, err error) {
	hw, err := net.ParseMAC(text)
	switch {
	case err != nil || len(hw) != len(m):
		return m, fmt.Errorf("%q must be an Ethernet address such as 02:00:00:00:00:01", text)
	case hw[0]&1 != 0:
		return m, fmt.Errorf("%q is a group's address, must be one interface's: an even first byte", text)
	}
	copy(m[:], hw)
	if m == (nl.MAC{}) {
		return m, fmt.Errorf("%q is nobody's address", text)
	}
	return m, nil
}

func (d demand) addresses() []netip.Addr {
	var addrs []netip.Addr
	for _, ip := range d.ips {
		addrs = append(addrs, ip.Addr())
	}
	return addrs
}

// arg finds a value in CNI_ARGS (KEY=VALUE;KEY=VALUE). What is not understood is
// passed over, whatever IgnoreUnknown says: every plugin of a chain gets all of it.
func (r request) arg(key string) string {
	for pair := range strings.SplitSeq(r.args, ";") {
		if name, value, _ := strings.Cut(pair, "="); name == key {
			return value
		}
	}
	return ""
}

// podName is the pod's, for people: what no name of Kubernetes can be is cut off.
func (r request) podName() (namespace, name string) {
	const most = 253
	short := func(s string) string {
		return strings.ToValidUTF8(s[:min(len(s), most)], "")
	}
	return short(r.arg("K8S_POD_NAMESPACE")), short(r.arg("K8S_POD_NAME"))
}
