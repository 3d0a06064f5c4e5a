package dataplane

import "net/netip"

// Ops turns what is there into what is wanted. Each list is sorted by prefix,
// and no prefix is in more than one of them. The order that never leaves a
// prefix without a route is Replace, Add, Delete.
type Ops struct {
	// Add are wanted routes whose prefix is not there at all.
	Add []Route
	// Replace are wanted routes whose prefix is there in another form.
	Replace []Route
	// Delete are the routes that are there and not wanted, as they are there.
	Delete []Route
}

// Empty says that there is nothing to do.
func (o Ops) Empty() bool {
	return len(o.Add) == 0 && len(o.Replace) == 0 && len(o.Delete) == 0
}

// Diff compares two sets of canonical routes, each of which holds a prefix at
// most once, in any order.
func Diff(want, have []Route) Ops {
	there := make(map[netip.Prefix]Route, len(have))
	for _, r := range have {
		there[r.Prefix] = r
	}
	var ops Ops
	for _, w := range want {
		switch h, ok := there[w.Prefix]; {
		case !ok:
			ops.Add = append(ops.Add, w)
		case !w.Equal(h):
			ops.Replace = append(ops.Replace, w)
		}
		delete(there, w.Prefix)
	}
	for _, h := range there {
		ops.Delete = append(ops.Delete, h)
	}
	SortRoutes(ops.Add)
	SortRoutes(ops.Replace)
	SortRoutes(ops.Delete)
	return ops
}

// Surplus returns the prefixes of have, in its order, that are not in want.
func Surplus(want, have []Route) []netip.Prefix {
	wanted := make(map[netip.Prefix]bool, len(want))
	for _, w := range want {
		wanted[w.Prefix] = true
	}
	var out []netip.Prefix
	for _, h := range have {
		if !wanted[h.Prefix] {
			out = append(out, h.Prefix)
		}
	}
	return out
}
