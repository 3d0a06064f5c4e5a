package speaker

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"fairlead.dev/bgp"
)

// journal remembers of each peer what the engine only says in its log: why the
// session is down, and that end-of-RIB has come. It is the engine's logger.
type journal struct {
	logger *slog.Logger
	ownASN uint32
	// changed is told of every new entry.
	changed func()
	// deferred is told of a peer whose session is up and that is to be sent nothing
	// for the deferral time. It must not ask the engine, which is in its loop.
	deferred func(netip.Addr)
	// touched is what peers have said since the Loc-RIB was last read.
	touched touched

	mu    sync.Mutex
	peers map[netip.Addr]*entry
	// warned holds when a warning was last passed on, by peer and message.
	warned map[warning]time.Time
}

// entry is one peer's.
type entry struct {
	asn      uint32
	password bool
	// restarting says that we follow a predecessor and that the session has not
	// been up since.
	restarting bool
	up         bool
	endOfRIB   bool
	// since is when the session was last established, again says not for the first
	// time.
	since time.Time
	again bool
	// notified is the NOTIFICATION that explains the present failure, which what
	// the engine says after it does not.
	notified string
	// malformed is what is wrong with a message of the peer, which the NOTIFICATION
	// does not say.
	malformed string
	failure   string
}

type warning struct{ peer, message string }

func newJournal(logger *slog.Logger, ownASN uint32, changed func()) *journal {
	return &journal{
		logger:   logger,
		ownASN:   ownASN,
		changed:  changed,
		deferred: func(netip.Addr) {},
		peers:    map[netip.Addr]*entry{},
		warned:   map[warning]time.Time{},
	}
}

// open starts a peer's entry. A failure known of the peer stays.
func (j *journal) open(p bgp.Peer, restarting bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := &entry{asn: p.ASN, password: p.Password != "", restarting: restarting}
	if old, ok := j.peers[p.Address]; ok {
		e.failure = old.failure
	}
	j.peers[p.Address] = e
}

// close forgets a peer.
func (j *journal) close(a netip.Addr) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.peers, a)
}

// entry returns a copy, empty for an unknown peer.
func (j *journal) entry(a netip.Addr) entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e, ok := j.peers[a]; ok {
		return *e
	}
	return entry{}
}

// restarting says that a peer is to see the restart flag at its next session.
func (j *journal) restarting(a netip.Addr) bool { return j.entry(a).restarting }

func (j *journal) established(a netip.Addr) bool { return j.entry(a).up }

// write changes a peer's entry, if there is one.
func (j *journal) write(a netip.Addr, change func(*entry)) {
	j.mu.Lock()
	e, ok := j.peers[a]
	if ok {
		change(e)
	}
	j.mu.Unlock()
	if ok {
		j.changed()
	}
}

// fail records why the session is not up, unless a NOTIFICATION has told.
func (j *journal) fail(a netip.Addr, reason string) {
	j.record(a, func(e *entry) {
		if e.notified == "" {
			e.failure = reason
		}
	})
}

// tell records a NOTIFICATION, or what tells as much.
func (j *journal) tell(a netip.Addr, reason string) {
	j.record(a, func(e *entry) { e.failure, e.notified = reason, reason })
}

// failToConnect records why there is no connection, also after a NOTIFICATION:
// the peer may be gone, or have another key by now.
func (j *journal) failToConnect(a netip.Addr, reason string) {
	j.record(a, func(e *entry) {
		e.failure = reason
		if e.notified != "" {
			e.failure = e.notified + "; since then " + reason
		}
	})
}

// record changes a peer's failure. The same reason again is no news.
func (j *journal) record(a netip.Addr, change func(*entry)) {
	var was, is string
	j.mu.Lock()
	if e, ok := j.peers[a]; ok {
		was = e.failure
		change(e)
		is = e.failure
	}
	j.mu.Unlock()
	if is != was {
		j.logger.Warn("BGP session fails", "peer", a, "err", is)
		j.changed()
	}
}
