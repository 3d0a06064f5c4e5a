package dataplane

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// ErrTwice is a prefix that a plan holds more than once.
var ErrTwice = errors.New("prefix is wanted twice")

// Sift brings wanted routes into canonical form, sorted by prefix, and sets
// aside, each with its reason, those that cannot be written. Of two routes for
// one prefix the first stays, unless they say the same, and the reason says that
// there was another. What is in order already is returned as it is.
func Sift(want []Route) (good []Route, failed map[netip.Prefix]error) {
	failed = map[netip.Prefix]error{}
	if inOrder(want) {
		return want, failed
	}
	seen := make(map[netip.Prefix]Route, len(want))
	for _, r := range want {
		r = r.Canonical()
		if err := r.Validate(); err != nil {
			failed[r.Prefix] = err
			continue
		}
		if first, ok := seen[r.Prefix]; ok {
			if !first.Equal(r) {
				failed[r.Prefix] = fmt.Errorf("route %s: %w: also %s", r, ErrTwice, first)
			}
			continue
		}
		seen[r.Prefix] = r
		good = append(good, r)
	}
	SortRoutes(good)
	return good, failed
}

// inOrder says that there is nothing to sift: a valid route is canonical too.
func inOrder(want []Route) bool {
	var last *Route
	for i := range want {
		r := &want[i]
		if last != nil && ComparePrefix(last.Prefix, r.Prefix) >= 0 {
			return false
		}
		// Most go where the one before goes, which was looked at.
		again := last != nil && r.goesWhere(last)
		if again && !r.prefixValid() || !again && r.Validate() != nil {
			return false
		}
		last = r
	}
	return true
}

// goesWhere says that two routes differ in their prefix only, of one family.
func (r *Route) goesWhere(o *Route) bool {
	return r.Prefix.Addr().Is4() == o.Prefix.Addr().Is4() && r.Kind == o.Kind && r.Link == o.Link &&
		r.Source == o.Source && slices.Equal(r.NextHops, o.NextHops)
}

// Find returns where in a list sorted by prefix the route of a prefix is.
func Find(sorted []Route, p netip.Prefix) (int, bool) {
	return slices.BinarySearchFunc(sorted, p, func(r Route, p netip.Prefix) int { return ComparePrefix(r.Prefix, p) })
}
