package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Validate says what keeps a canonical route from being written to the kernel.
func (r *Route) Validate() error {
	if !r.prefixValid() {
		return fmt.Errorf("route %s: %w", r, ErrPrefix)
	}
	err := r.validateKind()
	if err == nil {
		err = r.validateSource()
	}
	if err != nil {
		return fmt.Errorf("route %s: %w", r, err)
	}
	for _, hop := range r.NextHops {
		if err := r.validateHop(hop); err != nil {
			return fmt.Errorf("route %s: %w %s: %w", r.Prefix, ErrNextHop, hop, err)
		}
	}
	return nil
}

func (r *Route) prefixValid() bool {
	if a := r.Prefix.Addr(); a.Is4() { // Masked takes ten times as long
		bytes := a.As4()
		return r.Prefix.IsValid() && binary.BigEndian.Uint32(bytes[:])<<r.Prefix.Bits() == 0
	}
	return r.Prefix.IsValid() && r.Prefix == r.Prefix.Masked() && !r.Prefix.Addr().Is4In6()
}

func (r *Route) validateKind() error {
	switch {
	case r.Kind == Unicast && len(r.NextHops) == 0:
		return fmt.Errorf("%w: a unicast route needs at least one", ErrNextHop)
	case r.Kind == Unicast && !slices.IsSortedFunc(r.NextHops, hopOrder):
		return fmt.Errorf("%w: not sorted, or one of them twice", ErrNextHop)
	case r.Kind == Blackhole && len(r.NextHops) != 0:
		return fmt.Errorf("%w: a blackhole has none", ErrNextHop)
	case r.Kind == Blackhole && r.Link != "":
		return fmt.Errorf("%w: a blackhole has none", ErrLink)
	case r.Kind == Blackhole && r.Source.IsValid():
		return fmt.Errorf("%w: a blackhole has none", ErrSource)
	case r.Kind > Blackhole:
		return ErrKind
	}
	return nil
}

func (r *Route) validateSource() error {
	switch s := r.Source; {
	case !s.IsValid():
		return nil
	case s.BitLen() != r.Prefix.Addr().BitLen() || s.Is4In6():
		return fmt.Errorf("%w %s: not of the prefix's family", ErrSource, s)
	case s.IsUnspecified() || s.IsMulticast() || s.Zone() != "":
		return fmt.Errorf("%w %s: not an address of the node", ErrSource, s)
	}
	return nil
}

// hopOrder makes two equal neighbours count as out of order.
func hopOrder(a, b netip.Addr) int {
	if c := a.Compare(b); c != 0 {
		return c
	}
	return -1
}

func (r *Route) validateHop(hop netip.Addr) error {
	linkLocal := hop.Is6() && hop.IsLinkLocalUnicast()
	switch {
	case !hop.IsValid() || hop.Is4In6() || hop.Is4() && r.Prefix.Addr().Is6():
		return errors.New("not of a family that the prefix can have")
	case hop.IsUnspecified() || hop.IsMulticast() || hop.IsLoopback():
		return errors.New("not the address of a neighbour")
	case r.Link != "" && hop.Zone() != "":
		return errors.New("a link is named twice, by the route and by the address")
	case r.Link == "" && linkLocal && hop.Zone() == "":
		return errors.New("link-local without its link")
	case hop.Zone() != "" && !linkLocal:
		return errors.New("a link is named, but the address is not link-local")
	}
	return nil
}
