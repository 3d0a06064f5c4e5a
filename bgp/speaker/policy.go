package speaker

import (
	"context"
	"fmt"
	"net/netip"

	api "github.com/osrg/gobgp/v3/api"

	"fairlead.dev/bgp"
)

const (
	importPolicy = "import"
	exportPolicy = "export"
	// globalTable is GoBGP's name of what is not a route server client's.
	globalTable = "global"
)

// renderPolicies are both policies for these peers and our own prefixes. The
// import policy also meets our own paths, so it accepts those first. Of peers it
// accepts no path to a prefix of our own: GoBGP v3.37.0 does not tell a peer of our
// withdrawal if what is left is a path that has the peer's AS in it, such as our
// own announcement that another router of that AS has sent back. A peer that
// nothing is accepted from has no statement: an empty prefix set would match
// everything.
func renderPolicies(peers []bgp.Peer, own []netip.Prefix) *api.SetPoliciesRequest {
	local := &api.Statement{
		Name:       "own",
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ACCEPT},
	}
	in := &api.Policy{Name: importPolicy, Statements: []*api.Statement{local}}
	out := &api.Policy{Name: exportPolicy, Statements: []*api.Statement{{
		Name: "own-out", Conditions: local.Conditions, Actions: local.Actions,
	}}}
	req := &api.SetPoliciesRequest{Policies: []*api.Policy{in, out}}
	for _, is4 := range []bool{true, false} {
		exactly := exactPrefixes(own, is4)
		if len(exactly) == 0 {
			continue
		}
		name := map[bool]string{true: "own IPv4", false: "own IPv6"}[is4]
		req.DefinedSets = append(req.DefinedSets, &api.DefinedSet{DefinedType: api.DefinedType_PREFIX, Name: name, Prefixes: exactly})
		in.Statements = append(in.Statements, &api.Statement{
			Name:       name + " sent back",
			Conditions: &api.Conditions{PrefixSet: &api.MatchSet{Type: api.MatchSet_ANY, Name: name}},
			Actions:    &api.Actions{RouteAction: api.RouteAction_REJECT},
		})
	}
	for _, p := range peers {
		prefixes := acceptedPrefixes(p)
		if len(prefixes) == 0 {
			continue
		}
		name := p.Address.String()
		req.DefinedSets = append(req.DefinedSets,
			&api.DefinedSet{DefinedType: api.DefinedType_NEIGHBOR, Name: "from " + name, List: []string{hostPrefix(p.Address)}},
			&api.DefinedSet{DefinedType: api.DefinedType_PREFIX, Name: "accept " + name, Prefixes: prefixes})
		in.Statements = append(in.Statements, &api.Statement{
			Name: "accept from " + name,
			Conditions: &api.Conditions{
				NeighborSet: &api.MatchSet{Type: api.MatchSet_ANY, Name: "from " + name},
				PrefixSet:   &api.MatchSet{Type: api.MatchSet_ANY, Name: "accept " + name},
			},
			Actions: &api.Actions{RouteAction: api.RouteAction_ACCEPT},
		})
	}
	return req
}

// acceptedPrefixes are the ranges of the session's family, each with all that
// it contains: GoBGP refuses a set of both families.
func acceptedPrefixes(p bgp.Peer) []*api.Prefix {
	var out []*api.Prefix
	for _, r := range p.Accept {
		if r.Addr().Is4() == p.Address.Is4() {
			out = append(out, &api.Prefix{
				IpPrefix:      r.String(),
				MaskLengthMin: uint32(r.Bits()),
				MaskLengthMax: uint32(r.Addr().BitLen()),
			})
		}
	}
	return out
}

// exactPrefixes are those of one family: GoBGP refuses a set of both.
func exactPrefixes(all []netip.Prefix, is4 bool) []*api.Prefix {
	var out []*api.Prefix
	for _, p := range all {
		if p.Addr().Is4() == is4 {
			out = append(out, &api.Prefix{IpPrefix: p.String(), MaskLengthMin: uint32(p.Bits()), MaskLengthMax: uint32(p.Bits())})
		}
	}
	return out
}

func hostPrefix(a netip.Addr) string {
	return netip.PrefixFrom(a.WithZone(""), a.BitLen()).String()
}

// setPolicies replaces both policies at once.
func (e *engine) setPolicies(ctx context.Context, peers []bgp.Peer, own []netip.Prefix) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.server.SetPolicies(ctx, renderPolicies(peers, own))
}

// assignPolicies puts the policies in force; what they do not accept is rejected.
func (e *engine) assignPolicies(ctx context.Context) error {
	for name, direction := range map[string]api.PolicyDirection{
		importPolicy: api.PolicyDirection_IMPORT,
		exportPolicy: api.PolicyDirection_EXPORT,
	} {
		err := e.server.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
			Name:          globalTable,
			Direction:     direction,
			Policies:      []*api.Policy{{Name: name}},
			DefaultAction: api.RouteAction_REJECT,
		}})
		if err != nil {
			return fmt.Errorf("put policy %q in force: %w", name, err)
		}
	}
	return nil
}

// refilter looks again at all that a peer has sent, which costs it nothing.
func (e *engine) refilter(ctx context.Context, a netip.Addr) error {
	return e.server.ResetPeer(ctx, &api.ResetPeerRequest{Address: a.String(), Soft: true, Direction: api.ResetPeerRequest_IN})
}
