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
	for i := range want {
		if want[i].Validate() != nil || i > 0 && ComparePrefix(want[i-1].Prefix, want[i].Prefix) >= 0 {
			return false
		}
	}
	return true
}

// Find returns where in a list sorted by prefix the route of a prefix is.
func Find(sorted []Route, p netip.Prefix) (int, bool) {
	return slices.BinarySearchFunc(sorted, p, func(r Route, p netip.Prefix) int { return ComparePrefix(r.Prefix, p) })
}
