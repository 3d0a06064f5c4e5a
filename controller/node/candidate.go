package node

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
)

// lingerTime is how long an address in use stays chosen although the rule does
// not find it: a link that bounces, or whose IPv6 addresses have to be checked for
// duplicates anew, is back by then, and a change of address resets every session.
const lingerTime = 30 * time.Second

// finder finds the node's addresses by its rule, and keeps those in use.
type finder struct {
	rule *v1alpha1.NodeAddress
	// seen is when an address in use was last found.
	seen map[netip.Addr]time.Time
}

// find returns what the node's rule finds: at most one address of each family,
// none where the Node itself says what they are. An address in use stays while it
// is found, so that another one that appears changes nothing.
func (f *finder) find(node v1alpha1.BGPNode, look func(dataplane.AddressRule) ([]netip.Addr, error), now time.Time) ([]netip.Addr, error) {
	if f.seen == nil || !reflect.DeepEqual(f.rule, node.Spec.NodeAddress) {
		// Under a new rule what the old one found has no time to come back; an agent
		// that starts gives it that time.
		f.lingers(node, f.seen == nil, now)
	}
	f.rule = node.Spec.NodeAddress
	if !byAgent(f.rule) {
		return nil, nil
	}
	found, err := look(addressRule(f.rule))
	if err != nil {
		return nil, fmt.Errorf("find the node's addresses: %w", err)
	}
	used := inUse(node)
	var out []netip.Addr
	for _, is4 := range []bool{true, false} {
		if a, ok := f.choose(family(found, is4), family(used, is4), now); ok {
			out = append(out, a)
		}
	}
	for a := range f.seen {
		if !slices.Contains(used, a) {
			delete(f.seen, a)
		}
	}
	return out, nil
}

// lingers begins anew: with time for what is in use, or without.
func (f *finder) lingers(node v1alpha1.BGPNode, starts bool, now time.Time) {
	f.seen = map[netip.Addr]time.Time{}
	if starts {
		for _, a := range inUse(node) {
			f.seen[a] = now
		}
	}
}

// choose takes one of one family.
func (f *finder) choose(found, used []netip.Addr, now time.Time) (a netip.Addr, ok bool) {
	if len(used) > 0 {
		if slices.Contains(found, used[0]) {
			f.seen[used[0]] = now
		}
		if at, known := f.seen[used[0]]; known && now.Sub(at) < lingerTime {
			return used[0], true
		}
	}
	if len(found) == 0 {
		return a, false
	}
	return found[0], true
}

func family(all []netip.Addr, is4 bool) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return a.Is4() != is4 })
}

// byAgent says whether it is for the agent to find the address.
func byAgent(rule *v1alpha1.NodeAddress) bool {
	return rule != nil && rule.Source != "" && rule.Source != v1alpha1.NodeAddressInternalIP
}

// addressRule leaves out what does not parse: the API takes none of it.
func addressRule(r *v1alpha1.NodeAddress) dataplane.AddressRule {
	out := dataplane.AddressRule{Interfaces: r.Interfaces}
	for _, text := range r.CIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			out.CIDRs = append(out.CIDRs, p)
		}
	}
	for _, text := range r.CanReach {
		if a, err := netip.ParseAddr(text); err == nil {
			out.CanReach = append(out.CanReach, a)
		}
	}
	return out
}

// inUse are the addresses that the controller gave the node.
func inUse(node v1alpha1.BGPNode) []netip.Addr {
	var out []netip.Addr
	for _, text := range node.Spec.Addresses {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// tell puts what was found into the report.
func tell(st *v1alpha1.NodeStateStatus, s plan.Snapshot, found []netip.Addr) {
	for _, a := range found {
		st.CandidateAddresses = append(st.CandidateAddresses, a.String())
	}
	st.Conditions = append(st.Conditions, nodeAddresses(s.Intent.Node, s.Local, found))
}

// nodeAddresses says whether the addresses by which others reach the node are its
// own: they come from the Node or from what was found earlier, and either may be
// wrong by now.
func nodeAddresses(node v1alpha1.BGPNode, local []netip.Prefix, found []netip.Addr) metav1.Condition {
	const kind = v1alpha1.ConditionNodeAddresses
	used, rule := inUse(node), node.Spec.NodeAddress
	missing := slices.DeleteFunc(slices.Clone(used), func(a netip.Addr) bool {
		return slices.ContainsFunc(local, func(p netip.Prefix) bool { return p.Addr() == a })
	})
	refused := slices.DeleteFunc(slices.Clone(found), func(a netip.Addr) bool { return slices.Contains(used, a) })
	switch {
	case len(missing) > 0 && !byAgent(rule):
		return condition(kind, false, "NotOnNode", fmt.Sprintf(
			"the Node's InternalIP %s is on no link of this node that is up; it has %s: correct the kubelet's --node-ip, or set spec.nodeAddress of the BGPConfiguration",
			join(missing), ownList(local)))
	case len(refused) > 0:
		return condition(kind, false, "NotAccepted", fmt.Sprintf(
			"the rule (source %s) finds %s, which the controller has not accepted; see AddressesAccepted of the BGPConfiguration and the Events of the Node",
			rule.Source, join(refused)))
	case len(missing) > 0:
		return condition(kind, false, "NotFound", fmt.Sprintf(
			"%s is on no link of this node that is up, and the rule (source %s) finds no other; it has %s. The address stays until there is another: bring its link back, or correct spec.nodeAddress of the BGPConfiguration",
			join(missing), rule.Source, ownList(local)))
	case len(used) == 0 && byAgent(rule):
		return condition(kind, false, "NotFound", fmt.Sprintf(
			"the rule (source %s) finds no address of this node, which has %s: correct spec.nodeAddress of the BGPConfiguration", rule.Source, ownList(local)))
	case len(used) == 0:
		return condition(kind, false, "NoInternalIP", fmt.Sprintf(
			"the Node has no InternalIP that is a global unicast address; this node has %s: set the kubelet's --node-ip, or spec.nodeAddress of the BGPConfiguration", ownList(local)))
	}
	return condition(kind, true, "OnNode", join(used))
}

func join(all []netip.Addr) string {
	texts := make([]string, 0, len(all))
	for _, a := range all {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}

// ownList names the first few.
func ownList(local []netip.Prefix) string {
	if len(local) == 0 {
		return "none"
	}
	texts := make([]string, 0, len(local))
	for _, p := range local {
		texts = append(texts, p.Addr().String())
	}
	return list(texts)
}
