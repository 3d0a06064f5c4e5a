package filter

import (
	"bytes"
	"context"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nl"
)

// Watch tells that someone else has changed our table, or removed it (nft flush
// ruleset): an Apply is asked for. The channel is that of nl.Monitor.Notices, in the
// network namespace of the thread that calls.
func (t *Table) Watch(ctx context.Context) (<-chan struct{}, error) {
	m, err := nl.SubscribeNFTables()
	if err != nil {
		return nil, err
	}
	return m.Notices(ctx, t.matters), nil
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
