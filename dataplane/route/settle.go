package route

import (
	"fmt"
	"slices"

	"fairlead.dev/dataplane"
)

// settle adds to a result what a look shows: of each wanted route that is not in
// use the reason, which is the kernel's refusal where there was one; and what is
// ours beside. result.Failed holds the prefixes already that are wanted in no form
// that can be.
func (l *look) settle(result *dataplane.Result, refused map[int]error) {
	for _, r := range l.unwanted {
		if result.Failed[r.Prefix] == nil {
			result.Surplus = append(result.Surplus, r.Prefix)
		}
	}
	slices.SortFunc(result.Surplus, dataplane.ComparePrefix)
	result.Surplus = slices.Compact(result.Surplus)
	for i, mark := range l.seen {
		if mark != 0 && len(l.odd) == 0 {
			continue // the rule
		}
		if err := l.failure(i, refused[i]); err != nil {
			result.Failed[l.want[i].Prefix] = err
		}
	}
}

// failure is nil for a route that is there as wanted, whoever wrote it.
func (l *look) failure(i int, refused error) error {
	s := l.odd[i]
	switch {
	case s != nil && s.rival != nil:
		return fmt.Errorf("route %s: %w", l.want[i], rivalError(s.rival))
	case l.seen[i] != 0:
		return nil
	case refused != nil:
		return refused
	}
	return fmt.Errorf("route %s: %w", l.want[i], ErrVanished)
}
