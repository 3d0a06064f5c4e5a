package cluster

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/api/v1alpha1"
)

// refusal says that a node may not have an address, and what would be right.
type refusal struct {
	node    string
	config  string // the BGPConfiguration that governs the node, "" if none does
	address string
	why     string
}

// candidacy is what one node wants, and what that is judged by.
type candidacy struct {
	node     *corev1.Node
	config   *v1alpha1.BGPConfiguration // nil follows the defaults
	reported []string                   // by its agent, and about this Node
	had      addresses
	pods     []v1alpha1.AddressPlanEntry
}

// decide returns the addresses that the node's rule finds. What its agent reports
// is a claim and no proof, since the machine may be someone else's by now: it is
// accepted only if the Node says so too, or if an administrator allowed the range.
func (c candidacy) decide() (addresses, []refusal) {
	if ruleOf(c.config) == nil {
		found := internal(c.node)
		if found == (addresses{}) {
			found = c.had
		}
		return found, nil
	}
	var out addresses
	var refused []refusal
	for _, text := range c.reported {
		addr, ok := parseAddress(text)
		switch why := c.judge(addr, ok); {
		case why != "":
			refused = append(refused, refusal{c.node.Name, configName(c.config), text, why})
		default:
			out.keep(addr)
		}
	}
	out.keep(c.had.v4)
	out.keep(c.had.v6)
	return out, refused
}

// judge returns why a node may not have an address that its agent reports, "" if
// it may.
func (c candidacy) judge(addr netip.Addr, unicast bool) string {
	if !unicast {
		return "it is no global unicast address, by which others could reach the node: correct spec.nodeAddress"
	}
	reported := slices.ContainsFunc(c.node.Status.Addresses, func(a corev1.NodeAddress) bool {
		known, ok := parseAddress(a.Address)
		return ok && known == addr
	})
	if reported {
		return ""
	}
	for _, e := range c.pods {
		if cidr, err := netip.ParsePrefix(e.CIDR); err == nil && cidr.Contains(addr) {
			return fmt.Sprintf("it is in %s, the range of IPPool/%s, whose addresses are pods': correct spec.nodeAddress so that it finds another", cidr, e.PoolName)
		}
	}
	allowed := slices.ContainsFunc(ruleOf(c.config).AllowedCIDRs, func(text string) bool {
		cidr, err := netip.ParsePrefix(text)
		return err == nil && cidr.Contains(addr)
	})
	if !allowed {
		return "it is not in Node.status.addresses, nor in spec.nodeAddress.allowedCIDRs: add its range there if nodes may have it, or correct spec.nodeAddress so that it finds another"
	}
	return ""
}

// ruleOf returns the rule by which the agents of a configuration's nodes find
// their address, nil where it is the Node's InternalIP.
func ruleOf(c *v1alpha1.BGPConfiguration) *v1alpha1.NodeAddress {
	if c == nil || c.Spec.NodeAddress == nil {
		return nil
	}
	switch c.Spec.NodeAddress.Source {
	case "", v1alpha1.NodeAddressInternalIP:
		return nil
	}
	return c.Spec.NodeAddress
}

// internal returns the addresses that the Node reports.
func internal(n *corev1.Node) addresses {
	var out addresses
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			out.set(a.Address)
		}
	}
	return out
}

func configName(c *v1alpha1.BGPConfiguration) string {
	if c == nil {
		return ""
	}
	return c.Name
}

// byCandidates wakes when an agent finds other addresses.
func byCandidates() watch {
	return changed(&v1alpha1.NodeState{}, func(a, b *v1alpha1.NodeState) bool {
		return a.Status.NodeUID != b.Status.NodeUID || !slices.Equal(a.Status.CandidateAddresses, b.Status.CandidateAddresses)
	})
}
