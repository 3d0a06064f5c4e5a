package speaker

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/osrg/gobgp/v3/pkg/log"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"fairlead.dev/bgp"
)

// touched is what peers have said of prefixes since it was last taken. The engine's
// only loop notes it before it acts on an UPDATE. So who takes it and then asks
// the engine, which that loop answers too, is told what came of it.
type touched struct {
	mu   sync.Mutex
	news []news
	// all says that the Loc-RIB may have changed for any prefix.
	all bool
}

// news is that the Loc-RIB may hold something else for a prefix.
type news struct {
	prefix netip.Prefix
	// said is why, nil if that is not one peer's word alone, or not to be judged here.
	said *said
}

// said is what a peer has said of prefixes in one UPDATE.
type said struct {
	peer netip.Addr
	// hops is the next hop, none if the peer withdraws them.
	hops []netip.Addr
}

// maxNews bounds the memory for news that nobody takes.
const maxNews = 1 << 17

func (t *touched) add(more []news) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all = t.all || len(t.news)+len(more) > maxNews; t.all {
		t.news = nil
		return
	}
	t.news = append(t.news, more...)
}

// ask has the engine be asked for prefixes.
func (t *touched) ask(prefixes []netip.Prefix) {
	more := make([]news, len(prefixes))
	for i, p := range prefixes {
		more[i].prefix = p
	}
	t.add(more)
}

func (t *touched) addAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.news, t.all = nil, true
}

// take returns the news, sorted, one of each prefix, and forgets them. What one
// peer has said last stands; of what several have said the engine is asked.
func (t *touched) take() (all []news, everything bool) {
	t.mu.Lock()
	all, everything = t.news, t.all
	t.news, t.all = nil, false
	t.mu.Unlock()
	slices.SortStableFunc(all, func(a, b news) int { return bgp.ComparePrefix(a.prefix, b.prefix) })
	last := 0
	for i, n := range all {
		if i == 0 || n.prefix != all[last].prefix {
			if i > 0 {
				last++
			}
			all[last] = n
			continue
		}
		if before := all[last].said; before == nil || n.said == nil || before.peer != n.said.peer {
			n.said = nil
		}
		all[last] = n
	}
	return all[:min(last+1, len(all))], everything
}

// update notes what a peer says in an UPDATE, by what the engine tells of it.
func (t *touched) update(peer netip.Addr, ownASN uint32, f log.Fields) {
	nlri, _ := f["nlri"].([]*packet.IPAddrPrefix)
	withdrawn, _ := f["withdrawals"].([]*packet.IPAddrPrefix)
	attributes, _ := f["attributes"].([]packet.PathAttributeInterface)
	var reach, unreach []packet.AddrPrefixInterface
	for _, a := range attributes {
		switch a := a.(type) {
		case *packet.PathAttributeMpReachNLRI:
			reach = append(reach, a.Value...)
		case *packet.PathAttributeMpUnreachNLRI:
			unreach = append(unreach, a.Value...)
		}
	}
	more := make([]news, 0, len(nlri)+len(withdrawn)+len(reach)+len(unreach))
	note := func(p *packet.IPAddrPrefix, s *said) {
		a, _ := netip.AddrFromSlice(p.Prefix)
		if a.Is4() != peer.Is4() {
			s = nil // a family that the session is not for
		}
		more = append(more, news{netip.PrefixFrom(a, int(p.Length)), s})
	}
	both := func(v4 []*packet.IPAddrPrefix, all []packet.AddrPrefixInterface, s *said) {
		for _, p := range v4 {
			note(p, s)
		}
		for _, p := range all {
			switch p := p.(type) {
			case *packet.IPAddrPrefix:
				note(p, s)
			case *packet.IPv6AddrPrefix:
				note(&p.IPAddrPrefix, s)
			}
		}
	}
	announced := &said{peer: peer, hops: nextHops(attributes, peer)}
	if len(nlri) > 0 && len(reach) > 0 || mayLoop(attributes, ownASN) {
		announced = nil // each kind of prefix has a next hop of its own, or the engine may refuse all
	}
	both(nlri, reach, announced)
	both(withdrawn, unreach, &said{peer: peer}) // after, as the engine has it
	t.add(more)
}

// mayLoop says that the engine may refuse a path: for our AS in its AS path (RFC
// 4271 section 9.1.2), or as one that we have reflected (RFC 4456 section 8).
func mayLoop(attributes []packet.PathAttributeInterface, ownASN uint32) bool {
	for _, a := range attributes {
		switch a := a.(type) {
		case *packet.PathAttributeOriginatorId, *packet.PathAttributeClusterList:
			return true
		case *packet.PathAttributeAsPath:
			for _, segment := range a.Value {
				if slices.Contains(segment.GetAS(), ownASN) {
					return true
				}
			}
		}
	}
	return false
}
