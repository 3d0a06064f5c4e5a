package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/bgp"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/controller/plan"
)

func condition(kind string, ok bool, reason, message string) metav1.Condition {
	status := metav1.ConditionFalse
	if ok {
		status = metav1.ConditionTrue
	}
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: clip(message, 4096)}
}

func conditions(st v1alpha1.NodeStateStatus, p plan.Plan, problems []plan.Problem, done applied) []metav1.Condition {
	return []metav1.Condition{
		ready(st, p, done),
		routesInSync(st, done),
		sessionsEstablished(st),
		addressesAvailable(st, p),
		configAccepted(problems),
	}
}

// ready is about what this node alone can do: a ToR that is down leaves it True.
func ready(st v1alpha1.NodeStateStatus, p plan.Plan, done applied) metav1.Condition {
	const kind = v1alpha1.ConditionReady
	if done.err != nil {
		return condition(kind, false, "SyncFailed", done.err.Error())
	}
	if !slices.ContainsFunc(p.Leases, func(l store.Lease) bool { return !l.IPAMOnly }) {
		return condition(kind, false, "NoBlock", "no block is leased to this node for pods: is there a Ready IPPool with advertise true whose nodeSelector matches it, with a block left, or, if its source is NodeSpec, a podCIDR of the Node?")
	}
	programmed := 0
	for _, b := range st.Blocks {
		prefix, _ := netip.ParsePrefix(b.CIDR)
		if b.Programmed {
			programmed++
		}
		if slices.Contains(p.BGP.Announce, prefix) && !b.Programmed {
			return condition(kind, false, "BlockNotProgrammed", notProgrammed(b))
		}
	}
	return condition(kind, true, "Synced", fmt.Sprintf("%d blocks programmed", programmed))
}

func notProgrammed(b v1alpha1.BlockStatus) string {
	text := fmt.Sprintf("the kernel does not hold the route of block %s: see RoutesInSync", b.CIDR)
	if b.Advertised {
		return text + "; it stays announced, since its pods are in use and have routes of their own"
	}
	return text
}

func routesInSync(st v1alpha1.NodeStateStatus, done applied) metav1.Condition {
	const kind = v1alpha1.ConditionRoutesInSync
	if len(done.routes.Failed) > 0 {
		failed := make([]string, 0, len(done.routes.Failed))
		for _, err := range done.routes.Failed {
			failed = append(failed, err.Error())
		}
		return condition(kind, false, "RoutesFailed", list(failed))
	}
	if st.Routes.Installed < st.Routes.Wanted {
		return condition(kind, false, "RoutesMissing", fmt.Sprintf("%d of %d routes are in the kernel", st.Routes.Installed, st.Routes.Wanted))
	}
	return condition(kind, true, "InSync", fmt.Sprintf("%d routes", st.Routes.Installed))
}

func sessionsEstablished(st v1alpha1.NodeStateStatus) metav1.Condition {
	const kind = v1alpha1.ConditionSessionsEstablished
	var down []string
	for _, s := range st.Sessions {
		if s.State != bgp.Established {
			down = append(down, strings.TrimSuffix(fmt.Sprintf("%s (%s) is %s: %s", s.Peer, s.Address, s.State, s.LastError), ": "))
		}
	}
	switch {
	case st.SessionsWanted == 0:
		return condition(kind, false, "NoPeers", "no BGPPeer selects this node and it is in no mesh: its pods are reachable from this node only")
	case len(down) > 0:
		return condition(kind, false, "SessionsDown", list(down))
	}
	return condition(kind, true, "AllEstablished", fmt.Sprintf("%d sessions", st.SessionsWanted))
}

// addressesAvailable looks at each family by itself: a dual-stack pod needs both.
func addressesAvailable(st v1alpha1.NodeStateStatus, p plan.Plan) metav1.Condition {
	const kind = v1alpha1.ConditionAddressesAvailable
	free := map[bool]int64{}
	for i, l := range p.Leases {
		if l.IPAMOnly {
			continue // no pod's
		}
		free[l.CIDR.Addr().Is4()] += 0
		if !l.Closed {
			free[l.CIDR.Addr().Is4()] += min(st.Blocks[i].Capacity-st.Blocks[i].Used, plan.MostRoom)
		}
	}
	var out, low, moving []string
	for is4, n := range free {
		asked := growing(p.Wants, is4)
		shut := slices.IndexFunc(p.Shut, func(b netip.Prefix) bool { return b.Addr().Is4() == is4 })
		switch {
		case n <= 0 && shut >= 0:
			moving = append(moving, fmt.Sprintf("block %s gives no address out until the container runtime has taken no other configuration than ours for %s: see CNIConfigured", p.Shut[shut], settle))
		case n <= 0:
			out = append(out, fmt.Sprintf("no %s address is free on this node: %s", familyName(is4), wayOut(asked)))
		case len(asked) > 0:
			low = append(low, fmt.Sprintf("%d %s addresses are free: %s", n, familyName(is4), strings.Join(asked, ", ")))
		}
	}
	switch {
	case len(free) == 0:
		return condition(kind, false, "NoBlock", "no block is leased to this node for pods")
	case len(out) > 0:
		return condition(kind, false, "Exhausted", list(out))
	case len(moving) > 0:
		return condition(kind, false, "MovingIn", list(moving))
	case len(low) > 0:
		return condition(kind, true, "Low", list(low))
	}
	return condition(kind, true, "Available", fmt.Sprintf("%d in use", st.AddressesUsed))
}

// growing says of each pool that is asked for another block how that stands.
func growing(wants []plan.Want, is4 bool) []string {
	var out []string
	for _, w := range wants {
		switch {
		case w.IPAMOnly || w.Is4 != is4 || w.Count <= w.Has:
		case w.Adopted:
			out = append(out, fmt.Sprintf("IPPool/%s has no more for a node than its podCIDR", w.Pool))
		case w.Has >= w.Max:
			out = append(out, fmt.Sprintf("IPPool/%s gives a node no more than %d blocks (spec.maxBlocksPerNode)", w.Pool, w.Max))
		default:
			out = append(out, fmt.Sprintf("another block of IPPool/%s is asked for", w.Pool))
		}
	}
	return out
}

func wayOut(asked []string) string {
	return strings.Join(append(asked, "delete pods, raise maxBlocksPerNode where it is reached, or add an IPPool that selects the node"), "; ")
}

func familyName(is4 bool) string {
	if is4 {
		return "IPv4"
	}
	return "IPv6"
}

func configAccepted(problems []plan.Problem) metav1.Condition {
	const kind = v1alpha1.ConditionConfigAccepted
	if len(problems) == 0 {
		return condition(kind, true, "Accepted", "every object is in use as written")
	}
	texts := make([]string, 0, len(problems))
	for _, p := range problems {
		texts = append(texts, p.String())
	}
	return condition(kind, false, "ObjectsNotUsed", list(texts))
}

// list joins what is wrong, sorted, and keeps it readable when it is much.
func list(texts []string) string {
	const most = 5
	slices.Sort(texts)
	if extra := len(texts) - most; extra > 0 {
		texts = append(texts[:most:most], fmt.Sprintf("and %d more", extra))
	}
	return strings.Join(texts, "; ")
}
