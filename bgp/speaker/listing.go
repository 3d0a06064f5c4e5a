package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"fairlead.dev/bgp"
)

const (
	// listingAge is how long the whole Loc-RIB may not have been listed, although
	// each change was read: what tells of changes may have missed one.
	listingAge = 30 * time.Second
	// countAge is how long the counts of paths may be late for Sessions. Whoever asks
	// for routes as well, as the agent does at each sync, pays for reading them only
	// once, and in a burst of changes is told by Changes to ask again.
	countAge = 10 * time.Second
)

// view is the table, and when it was read.
type view struct {
	*table
	// listed is when all of it was read, read when the last change was.
	listed, read time.Time
	// back is how many peers' stale paths were void: what time alone can change.
	back int
}

// refresh reads what has changed: with 100,000 prefixes it takes the engine a third of
// a second of a processor to list all, most of it to copy its table and to turn each
// path into protobuf.
func (e *engine) refresh(ctx context.Context) error {
	in := e.newReader(ctx)
	back := 0
	for _, n := range in.neighbours {
		if n.back {
			back++
		}
	}
	now := time.Now()
	told, all := e.journal.touched.take()
	plain, asked := e.settle(in, told)
	// To look up a prefix costs more than to list it.
	all = all || len(asked) > len(e.view.routes) || e.view.back != back || now.Sub(e.view.listed) > listingAge
	next := view{e.view.table, e.view.listed, now, back}
	in.hint = len(asked)
	if all {
		in.hint = len(told) + len(e.view.routes)
		next.table, next.listed, plain, asked = newTable(), now, nil, nil
	}
	if all || len(asked) > 0 {
		read, err := e.read(ctx, in, asked)
		if err != nil {
			e.journal.touched.addAll()
			return err
		}
		next.patch(read)
	}
	if len(plain) > 0 {
		next.patch(plain)
	}
	e.view = next
	return nil
}

// settle finds out, without the engine, what has become of prefixes that nobody
// has ever sent but the one peer that news are of; the engine is to be asked for all
// others.
func (e *engine) settle(in *reader, told []news) (plain []found, asked []netip.Prefix) {
	plain = make([]found, 0, len(told))
	for _, n := range told {
		if f, ok := e.known(in, n); ok {
			plain = append(plain, f)
		} else {
			asked = append(asked, n.prefix)
		}
	}
	return plain, asked
}

func (e *engine) known(in *reader, n news) (found, bool) {
	out := found{Route: bgp.Route{Prefix: n.prefix}}
	if n.said == nil {
		return out, false
	}
	from, known := in.neighbours[n.said.peer.WithZone("").String()]
	if !known || from.Address != n.said.peer || e.originates(n.prefix) {
		return out, false
	}
	if before := e.view.sendersOf(n.prefix); len(before) > 0 && !slices.Equal(before, from.only) {
		return out, false
	}
	if len(n.said.hops) > 0 && from.Accepts(n.prefix) {
		out.NextHops, out.Peers, out.senders = n.said.hops, from.alone, from.only
	}
	return out, true
}

// read returns what the Loc-RIB holds for these prefixes, or, without any, for all.
func (e *engine) read(ctx context.Context, in *reader, prefixes []netip.Prefix) ([]found, error) {
	var news []found
	v6, _ := slices.BinarySearchFunc(prefixes, netip.PrefixFrom(netip.IPv6Unspecified(), 0), bgp.ComparePrefix)
	for i, family := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		some := [...][]netip.Prefix{prefixes[:v6], prefixes[v6:]}[i]
		if len(prefixes) > 0 && len(some) == 0 {
			continue // none would mean all
		}
		listed, err := e.list(ctx, in, family, some)
		if err != nil {
			return nil, err
		}
		news = append(news, complete(listed, some)...)
	}
	return news, nil
}

// list asks the engine, and sorts its answer. Attributes come as on the wire: to
// turn them into protobuf and back costs several times as much.
func (e *engine) list(ctx context.Context, in *reader, of netip.Addr, prefixes []netip.Prefix) ([]found, error) {
	req := &api.ListPathRequest{TableType: api.TableType_GLOBAL, Family: family(of), EnableOnlyBinary: true}
	for _, p := range prefixes {
		req.Prefixes = append(req.Prefixes, &api.TableLookupPrefix{Prefix: p.String()})
	}
	news := make([]found, 0, in.hint)
	err := e.server.ListPath(ctx, req, func(d *api.Destination) { news = append(news, in.read(d)) })
	if err != nil {
		return nil, fmt.Errorf("list the Loc-RIB of %s: %w", req.Family.Afi, err)
	}
	slices.SortFunc(news, func(a, b found) int { return bgp.ComparePrefix(a.Prefix, b.Prefix) })
	return news, nil
}

// complete adds those that were asked for and are not there. All are sorted.
func complete(listed []found, asked []netip.Prefix) []found {
	if len(listed) >= len(asked) {
		return listed
	}
	out := make([]found, 0, len(asked))
	for _, p := range asked {
		for len(listed) > 0 && bgp.ComparePrefix(listed[0].Prefix, p) < 0 {
			out, listed = append(out, listed[0]), listed[1:]
		}
		if len(listed) == 0 || listed[0].Prefix != p {
			out = append(out, found{Route: bgp.Route{Prefix: p}})
		}
	}
	return append(out, listed...)
}

// accepted are the counts of paths, not older than countAge.
func (e *engine) accepted(ctx context.Context) map[string]int64 {
	if time.Since(e.view.read) > countAge {
		_ = e.refresh(ctx) // who asks for routes is told
	}
	return e.view.accepted()
}
