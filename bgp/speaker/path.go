package speaker

import (
	"context"
	"net/netip"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// originIGP is the ORIGIN of what the AS itself holds (RFC 4271 section 4.3).
const originIGP = 0

// renderPath is a prefix originated here. With no next hop of its own it gets
// the local address of each session.
func renderPath(p netip.Prefix) (*api.Path, error) {
	prefix := &api.IPAddressPrefix{Prefix: p.Addr().String(), PrefixLen: uint32(p.Bits())}
	nlri, err := anypb.New(prefix)
	if err != nil {
		return nil, err
	}
	attributes := []proto.Message{&api.OriginAttribute{Origin: originIGP}}
	if p.Addr().Is4() {
		attributes = append(attributes, &api.NextHopAttribute{NextHop: netip.IPv4Unspecified().String()})
	} else {
		attributes = append(attributes, &api.MpReachNLRIAttribute{
			Family:   family(p.Addr()),
			NextHops: []string{netip.IPv6Unspecified().String()},
			Nlris:    []*anypb.Any{nlri},
		})
	}
	path := &api.Path{Family: family(p.Addr()), Nlri: nlri}
	for _, a := range attributes {
		packed, err := anypb.New(a)
		if err != nil {
			return nil, err
		}
		path.Pattrs = append(path.Pattrs, packed)
	}
	return path, nil
}

func (e *engine) announce(ctx context.Context, p netip.Prefix) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := renderPath(p)
	if err != nil {
		return err
	}
	_, err = e.server.AddPath(ctx, &api.AddPathRequest{TableType: api.TableType_GLOBAL, Path: path})
	return err
}

func (e *engine) withdraw(ctx context.Context, p netip.Prefix) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := renderPath(p)
	if err != nil {
		return err
	}
	return e.server.DeletePath(ctx, &api.DeletePathRequest{TableType: api.TableType_GLOBAL, Family: path.Family, Path: path})
}
