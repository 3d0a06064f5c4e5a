// Package bgp holds the value types of the BGP half: what a speaker is asked
// to be (Config) and what it has learned (Route, Session). It is pure: standard
// library only. bgp/speaker makes a Config true with an embedded BGP engine.
package bgp

import (
	"errors"
	"net/netip"
	"slices"
	"time"
)

// Config is everything that a speaker should do. Apply makes it true; applying
// the same Config again changes nothing at any peer.
type Config struct {
	Global Global
	// Peers, sorted by Address; addresses are unique.
	Peers []Peer
	// Announce are the prefixes originated here, sorted. The next hop is the
	// local address of each session. Nothing else is ever sent to a peer.
	Announce []netip.Prefix
}

// Global are the settings whose change resets every session.
type Global struct {
	ASN      uint32
	RouterID netip.Addr // IPv4
	// ListenPort is a TCP port, or -1 to listen nowhere.
	ListenPort int32
	// RestartTime is for how long peers keep our routes when we restart (RFC
	// 4724), in whole seconds, at most 4095. 0 turns graceful restart off, also
	// as the helper of a peer that restarts.
	RestartTime time.Duration
	// Restarting sets the Restart State bit: it is true exactly when this
	// process follows another whose routes survived in the kernel. It counts
	// when the engine starts, and not after.
	Restarting bool
}

// Peer is one neighbour. A session carries the unicast routes of the address
// family of its Address.
type Peer struct {
	Address netip.Addr
	// Port is the TCP port dialled; 0 means 179.
	Port uint16
	ASN  uint32
	// Multihop lets a neighbour of another AS be further away than on a shared
	// link: packets get the system's TTL instead of 1.
	Multihop bool
	// Password is the TCP MD5 key (RFC 2385), "" for none. Never logged.
	Password string
	// Passive waits for the peer to connect.
	Passive bool
	// HoldTime is at least 3 s; 0 means 90 s. A change of the three times counts
	// from the next session on, of all else but Accept ends the session.
	HoldTime time.Duration
	// Keepalive 0 means a third of HoldTime.
	Keepalive time.Duration
	// ConnectRetry is the least time between two attempts to connect, the most
	// is twice that; 0 means 5 s.
	ConnectRetry time.Duration
	// AllowLocalAS is how often our own AS may stand in an accepted path.
	AllowLocalAS int
	// Accept are the ranges from which routes are accepted: a route is accepted
	// if one of them contains its prefix. Sorted. Empty: nothing is accepted.
	Accept []netip.Prefix
}

// Accepts says that a route to a prefix is accepted from the peer.
func (p Peer) Accepts(prefix netip.Prefix) bool {
	return slices.ContainsFunc(p.Accept, func(r netip.Prefix) bool {
		return r.Bits() <= prefix.Bits() && r.Contains(prefix.Addr())
	})
}

// Route is what the Loc-RIB holds for a prefix: the best path, or the several
// equal ones (multipath). A path of a peer that restarts is among them only if
// there is none of another peer: whether a restarting peer still forwards is a
// promise, and a dead one looks the same.
type Route struct {
	Prefix netip.Prefix
	// NextHops, sorted, at least one.
	NextHops []netip.Addr
	// Peers are the neighbours that the paths came from, sorted.
	Peers []netip.Addr
	// Stale says that the route is kept only because its peers restart (RFC 4724).
	Stale bool
}

// Session is one neighbour's state as the engine reports it.
type Session struct {
	Address netip.Addr
	ASN     uint32
	// State is the FSM's: Idle, Connect, Active, OpenSent, OpenConfirm, Established.
	State string
	// Since is when the session was last established, zero if never.
	Since time.Time
	// EndOfRIB says that the peer has sent all that it has (RFC 4724 section 2).
	EndOfRIB bool
	// Received counts the prefixes that the peer has sent, Accepted those of
	// them that may be used, Advertised those that we have sent.
	Received, Accepted, Advertised int64
	// LastError says why the session is down, as far as the engine knows:
	// the last NOTIFICATION in words, a refused connection, a mismatch in OPEN.
	// Empty while it is up.
	LastError string
}

// Established is the State of a working session.
const Established = "Established"

// ErrNotStarted is a speaker's answer to a question for routes before the first
// Apply that started its engine: nothing is known then, which is not to say that
// there are none.
var ErrNotStarted = errors.New("the BGP engine has not started")
