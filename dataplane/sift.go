package dataplane

import (
	"errors"
	"fmt"
	"net/netip"
)

// ErrTwice is a prefix that a plan holds more than once.
var ErrTwice = errors.New("prefix is wanted twice")

// Sift brings wanted routes into canonical form and sets aside, each with its
// reason, those that cannot be written. Of two routes for one prefix the first
// stays, unless they say the same, and the reason says that there was another.
func Sift(want []Route) (good []Route, failed map[netip.Prefix]error) {
	failed = map[netip.Prefix]error{}
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
	return good, failed
}
