package bgp

import (
	"cmp"
	"net/netip"
	"slices"
)

// Ops turns what a speaker does into what it should do. Every list is sorted.
type Ops struct {
	// Restart says that the engine has to start anew with Global, and that the
	// other fields are what to do from nothing.
	Restart bool
	// Global is the wanted one, also when it is no different.
	Global Global
	// Delete are peers that go, Update those that stay otherwise than they
	// are, Add those that come.
	Delete []netip.Addr
	Update []PeerUpdate
	Add    []Peer
	// Withdraw and Announce are prefixes that are originated no more, and anew.
	Withdraw, Announce []netip.Prefix
}

// PeerUpdate is a peer that stays, in its wanted form.
type PeerUpdate struct {
	Peer Peer
	// Reset says that the change is only possible with another session.
	Reset bool
	// Refilter says that Accept has changed: what the peer has sent is to be
	// looked at again.
	Refilter bool
}

// Diff compares two Configs as Sift returns them.
func Diff(want, have Config) Ops {
	ops := Ops{Restart: want.Global.restarts(have.Global), Global: want.Global}
	if ops.Restart {
		have = Config{}
	}
	ops.Delete, ops.Update, ops.Add = diffPeers(want.Peers, have.Peers)
	ops.Withdraw = without(have.Announce, want.Announce)
	ops.Announce = without(want.Announce, have.Announce)
	return ops
}

// Empty says that there is nothing to do.
func (o Ops) Empty() bool {
	return !o.Restart && len(o.Delete)+len(o.Update)+len(o.Add)+len(o.Withdraw)+len(o.Announce) == 0
}

// Patch is what c is after the operations: Patch(Diff(a, b), b) is a.
func (o Ops) Patch(c Config) Config {
	if o.Restart {
		c = Config{}
	}
	gone := make(map[netip.Addr]bool)
	for _, a := range o.Delete {
		gone[a] = true
	}
	changed := make(map[netip.Addr]Peer)
	for _, u := range o.Update {
		changed[u.Peer.Address] = u.Peer
	}
	var peers []Peer
	for _, p := range c.Peers {
		if u, ok := changed[p.Address]; ok {
			p = u
		}
		if !gone[p.Address] {
			peers = append(peers, p)
		}
	}
	peers = append(peers, o.Add...)
	slices.SortFunc(peers, func(a, b Peer) int { return a.Address.Compare(b.Address) })
	announce := append(without(c.Announce, o.Withdraw), o.Announce...)
	slices.SortFunc(announce, ComparePrefix)
	return Config{Global: o.Global, Peers: peers, Announce: announce}
}

// restarts says that the engine has to stop to get from have to g. Restarting
// does not count: it is about how an engine starts.
func (g Global) restarts(have Global) bool {
	g.Restarting = have.Restarting
	return g != have
}

func diffPeers(want, have []Peer) (del []netip.Addr, update []PeerUpdate, add []Peer) {
	there := make(map[netip.Addr]Peer, len(have))
	for _, h := range have {
		there[h.Address] = h
	}
	for _, w := range want {
		h, ok := there[w.Address]
		if !ok {
			add = append(add, w)
		} else if u := diffPeer(w, h); u.Reset || u.Refilter || !w.equal(h) {
			update = append(update, u)
		}
		delete(there, w.Address)
	}
	for a := range there {
		del = append(del, a)
	}
	slices.SortFunc(del, netip.Addr.Compare)
	slices.SortFunc(update, func(a, b PeerUpdate) int { return a.Peer.Address.Compare(b.Peer.Address) })
	slices.SortFunc(add, func(a, b Peer) int { return a.Address.Compare(b.Address) })
	return del, update, add
}

// diffPeer says how the session has to change: timers are taken up by the next
// session, all that is said in OPEN or is a matter of the TCP connection needs
// another one now.
func diffPeer(want, have Peer) PeerUpdate {
	return PeerUpdate{
		Peer: want,
		Reset: want.ASN != have.ASN || want.Port != have.Port || want.Multihop != have.Multihop ||
			want.Password != have.Password || want.Passive != have.Passive || want.AllowLocalAS != have.AllowLocalAS,
		Refilter: !slices.Equal(want.Accept, have.Accept),
	}
}

// equal says that two peers are the same.
func (p Peer) equal(o Peer) bool {
	return p.Address == o.Address && p.Port == o.Port && p.ASN == o.ASN && p.Multihop == o.Multihop &&
		p.Password == o.Password && p.Passive == o.Passive && p.HoldTime == o.HoldTime && p.Keepalive == o.Keepalive &&
		p.ConnectRetry == o.ConnectRetry && p.AllowLocalAS == o.AllowLocalAS &&
		slices.Equal(p.Accept, o.Accept)
}

// ComparePrefix orders prefixes as every list is sorted: IPv4 before IPv6, by
// address, the shorter prefix first.
func ComparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// without returns those of a that are not in b, sorted.
func without(a, b []netip.Prefix) []netip.Prefix {
	drop := make(map[netip.Prefix]bool, len(b))
	for _, p := range b {
		drop[p] = true
	}
	var rest []netip.Prefix
	for _, p := range a {
		if !drop[p] {
			rest = append(rest, p)
		}
	}
	slices.SortFunc(rest, ComparePrefix)
	return rest
}
