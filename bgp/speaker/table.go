package speaker

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"fairlead.dev/bgp"
)

// table is what the Loc-RIB was last seen to hold.
type table struct {
	// routes are the learned ones, sorted by prefix. They are never changed, but
	// replaced: whoever was given them goes on reading.
	routes []bgp.Route
	// from are, of each route, the senders of the prefix's paths.
	from []int
	// others are the senders of prefixes without a route: of which a path is our
	// own, or none can be used.
	others map[netip.Prefix]int
	// bad says of prefixes which of their paths could not be read.
	bad map[netip.Prefix]error
	// senders are all sets of peers that have a path to the same prefix.
	senders []senders
	index   map[string]int
}

// senders are peers, as a path names them, and how many prefixes all of them and
// nobody else has sent.
type senders struct {
	names    []string
	prefixes int64
}

// found is what the Loc-RIB holds for a prefix. Without next hops it has no route
// that is to be used, without senders it has none that is learned.
type found struct {
	bgp.Route
	// senders of all paths but our own, in the Loc-RIB's order.
	senders []string
	err     error
}

func newTable() *table {
	return &table{others: map[netip.Prefix]int{}, bad: map[netip.Prefix]error{}, index: map[string]int{}}
}

// patch takes in what was found for some prefixes, sorted, each once.
func (t *table) patch(news []found) {
	routes := make([]bgp.Route, 0, len(t.routes)+len(news))
	from := make([]int, 0, cap(routes))
	rest, restFrom := t.routes, t.from
	for _, n := range news {
		i, there := find(rest, n.Prefix)
		routes, from = append(routes, rest[:i]...), append(from, restFrom[:i]...)
		if there {
			t.senders[restFrom[i]].prefixes--
			i++
		}
		rest, restFrom = rest[i:], restFrom[i:]
		t.forget(n.Prefix)
		who := t.intern(n.senders)
		t.senders[who].prefixes++
		switch {
		case len(n.NextHops) > 0:
			routes, from = append(routes, n.Route), append(from, who)
		case len(n.senders) > 0:
			t.others[n.Prefix] = who
		}
		if n.err != nil {
			t.bad[n.Prefix] = n.err
		}
	}
	t.routes, t.from = append(routes, rest...), append(from, restFrom...)
}

// forget drops what is known of a prefix besides a route.
func (t *table) forget(p netip.Prefix) {
	delete(t.bad, p)
	if who, there := t.others[p]; there {
		t.senders[who].prefixes--
		delete(t.others, p)
	}
}

// sendersOf are those of a prefix's paths.
func (t *table) sendersOf(p netip.Prefix) []string {
	if i, there := find(t.routes, p); there {
		return t.senders[t.from[i]].names
	}
	if who, there := t.others[p]; there {
		return t.senders[who].names
	}
	return nil
}

// find returns where a prefix is among routes, or would be.
func find(routes []bgp.Route, p netip.Prefix) (int, bool) {
	return slices.BinarySearchFunc(routes, p, func(r bgp.Route, p netip.Prefix) int { return bgp.ComparePrefix(r.Prefix, p) })
}

// intern returns the index of a set of senders.
func (t *table) intern(names []string) int {
	key := strings.Join(names, " ")
	i, known := t.index[key]
	if !known {
		i = len(t.senders)
		t.index[key] = i
		t.senders = append(t.senders, senders{names: names})
	}
	return i
}

// accepted is how many paths each peer has in the Loc-RIB, by its address as a path
// names it. The engine's own count is of what has no AS loop, before the import
// policy.
func (t *table) accepted() map[string]int64 {
	out := map[string]int64{}
	for _, s := range t.senders {
		for _, name := range s.names {
			out[name] += s.prefixes
		}
	}
	return out
}

// err is about all paths that could not be read.
func (t *table) err() error {
	var errs []error
	for _, err := range t.bad {
		errs = append(errs, err)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}
