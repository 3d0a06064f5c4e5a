package filter

import (
	"bytes"
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nl"
)

// Watch tells that someone else has changed our table, or removed it (nft flush
// ruleset). Notifications are coalesced: one waits in the channel at most, and it
// asks for an Apply. Those that the kernel had to drop count as one.
//
// The channel is closed when ctx is done; should the socket fail before, then
// after a last notification. The socket is of the network namespace of the
// thread that calls.
func (t *Table) Watch(ctx context.Context) (<-chan struct{}, error) {
	m, err := nl.SubscribeNFTables()
	if err != nil {
		return nil, err
	}
	ch := make(chan struct{}, 1)
	go func() {
		defer close(ch)
		defer m.Close()
		t.watch(ctx, m, ch)
	}()
	return ch, nil
}

func (t *Table) watch(ctx context.Context, m *nl.Monitor, ch chan<- struct{}) {
	notify := func() {
		select {
		case ch <- struct{}{}:
		default: // one waits already
		}
	}
	for {
		err := m.Receive(ctx, func(e nl.Event) {
			if t.matters(e) {
				notify()
			}
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			notify()
		}
		if err != nil && !errors.Is(err, nl.ErrOverrun) && !errors.Is(err, nl.ErrMalformed) {
			return
		}
	}
}

// matters says that someone else has changed what is ours.
func (t *Table) matters(e nl.Event) bool { return e.PortID != t.self && isOurs(e) }

// isOurs says that a notification is about our table or anything in it. Whatever
// it is about, the table's name is its first attribute: NFTA_TABLE_NAME,
// NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE and so on are all 1. That of
// a new generation (NFT_MSG_NEWGEN), which ends each transaction, has a number there.
func isOurs(e nl.Event) bool {
	const headers = 4 + unix.SizeofNlAttr // struct nfgenmsg, and the attribute's own
	name := append([]byte(Name), 0)
	return len(e.Body) >= headers && e.Body[0] == unix.NFPROTO_INET && bytes.HasPrefix(e.Body[headers:], name)
}
