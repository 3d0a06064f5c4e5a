package route

import (
	"errors"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// look is what one listing of one family shows, held against what is wanted as it
// is told: what is as wanted takes four bytes, and only the rest is kept.
type look struct {
	family uint8
	want   []dataplane.Route // of the family, sorted
	links  links
	// seen is, of each wanted route, 0 until the kernel told it as wanted, and then
	// the mark of its links: another one that differs in them only is a second.
	seen []uint32
	// odd are the wanted prefixes of which there is more to say, by index in want.
	odd map[int]*slot
	// unwanted are our routes for all other prefixes.
	unwanted []nl.Route
	// partial says that the listing was interrupted: what it shows may be gone or
	// told twice, so nothing is deleted on its word.
	partial bool
	last    int // where in want the kernel was last
}

// slot is one wanted prefix that is not just as wanted.
type slot struct {
	// own are our routes in the kernel's order: by metric, then by age.
	own []nl.Route
	// rival is the foreign route that the kernel would use first.
	rival *nl.Route
	// twin is a foreign route with our metric, which a replacement would hit.
	twin *nl.Route
}

func newLook(family uint8, want []dataplane.Route, links links) *look {
	return &look{family: family, want: want, links: links, seen: make([]uint32, len(want))}
}

// list asks the kernel. That it was interrupted is no error, but makes the look
// partial.
func (l *look) list(k kernel) error {
	err := k.Scan(l.family, func() func(*nl.Route) {
		clear(l.seen)
		l.odd, l.unwanted, l.last = map[int]*slot{}, l.unwanted[:0], 0
		return l.see
	})
	l.partial = errors.Is(err, nl.ErrInterrupted)
	if l.partial {
		return nil
	}
	return err
}

// rivals says that a route for a wanted prefix stands in its way: a foreign one
// that the kernel prefers, or takes for the same. A pod's own route does not:
// in a block of one address it is what the block is for.
func rivals(r *nl.Route) bool {
	return r.Protocol != dataplane.ProtocolRoute && r.Protocol != dataplane.ProtocolPod &&
		r.Metric <= dataplane.Metric && r.TOS == 0
}

// connected says that the kernel made the route, for a subnet of the node's own.
func connected(r *nl.Route) bool {
	return r.Protocol == unix.RTPROT_KERNEL && r.Type == unix.RTN_UNICAST && r.Metric < dataplane.Metric &&
		len(r.Hops) == 1 && !r.Hops[0].Addr.IsValid()
}

// see takes in one route.
func (l *look) see(r *nl.Route) {
	own := r.Protocol == dataplane.ProtocolRoute
	if r.Table != unix.RT_TABLE_MAIN || !own && !rivals(r) {
		return // a kernel that does not know the filter tells of all tables
	}
	switch i, wanted := l.find(r.Prefix); {
	case wanted && own:
		l.own(i, r)
	case wanted && l.want[i].Beside && connected(r):
	case wanted:
		l.slot(i).foreign(r)
	case own:
		l.unwanted = append(l.unwanted, r.Clone())
	}
}

// find returns the index of a wanted prefix. The kernel goes by prefix as want
// does, nearly.
func (l *look) find(p netip.Prefix) (int, bool) {
	for i := l.last; i < len(l.want) && i <= l.last+1; i++ {
		if l.want[i].Prefix == p {
			l.last = i
			return i, true
		}
	}
	i, ok := dataplane.Find(l.want, p)
	if ok {
		l.last = i
	}
	return i, ok
}

func (l *look) slot(i int) *slot {
	s := l.odd[i]
	if s == nil {
		s = &slot{}
		l.odd[i] = s
	}
	return s
}

func (l *look) own(i int, r *nl.Route) {
	same, mark := l.links.same(r, &l.want[i]), linkMark(r)
	if same && l.seen[i] == mark {
		return // told twice
	}
	if same && l.seen[i] == 0 && len(l.held(i)) == 0 {
		l.seen[i] = mark
		return
	}
	s := l.slot(i)
	if l.seen[i] != 0 { // not the only one, after all
		var first nl.Route
		l.links.encode(&first, &l.want[i])
		s.own, l.seen[i] = append(s.own, first), 0
	}
	if !slices.ContainsFunc(s.own, func(o nl.Route) bool { return o.Equal(*r) }) {
		s.own = append(s.own, r.Clone())
	}
}

// linkMark is a number other than 0 for the links of a route's next hops.
func linkMark(r *nl.Route) uint32 {
	var mark uint32
	for _, hop := range r.Hops {
		mark = mark*31 + hop.Link
	}
	return mark<<1 | 1
}

func (s *slot) foreign(r *nl.Route) {
	if r.Metric == dataplane.Metric {
		twin := r.Clone()
		s.twin = &twin
	}
	if s.rival == nil || r.Metric < s.rival.Metric {
		rival := r.Clone()
		s.rival = &rival
	}
}

// held are our routes for a wanted prefix, unless there is one alone, as wanted.
func (l *look) held(i int) []nl.Route {
	if len(l.odd) == 0 {
		return nil // the rule, and asked of each
	}
	if s := l.odd[i]; s != nil {
		return s.own
	}
	return nil
}

// todo are the wanted routes, by index, that have to be put in the place of
// others, and those that are not there at all.
func (l *look) todo() (replace, add []int) {
	for i, mark := range l.seen {
		switch {
		case mark != 0:
		case len(l.held(i)) > 0:
			replace = append(replace, i)
		default:
			add = append(add, i)
		}
	}
	return replace, add
}
