package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// writer carries out what a look showed to be needed.
type writer struct {
	kernel
	look *look
	// refused says of each wanted route, by index, that could not be written, why.
	refused map[int]error
	// sent says that anything was sent at all.
	sent bool
	// again says that a route was refused for what may be over already.
	again bool
}

// write makes before it breaks: replace, add, delete. spare are prefixes to leave
// as they are. The error joins the deletions that failed.
func (w *writer) write(prune bool, spare map[netip.Prefix]error) error {
	replace, add := w.look.todo()
	doubles, strays := w.surplus(replace)
	doublesErr := w.remove(doubles)
	w.put("replace", nl.Replace, replace)
	w.put("add", nl.Add, add)
	doomed := w.superseded(strays)
	if prune && !w.look.partial {
		for _, r := range w.look.unwanted {
			if spare[r.Prefix] == nil {
				doomed = append(doomed, r)
			}
		}
	}
	return errors.Join(doublesErr, w.remove(doomed))
}

// stray is a route of ours that has to go when the wanted one has come.
type stray struct {
	route  nl.Route
	wanted int
}

// surplus are our routes beside the one that is replaced. Doubles have its
// metric and go before: IPv4 refuses to replace its first route by one that equals
// its second. Strays have another metric, are not replaced, and go after.
func (w *writer) surplus(replace []int) (doubles []nl.Route, strays []stray) {
	if w.look.partial {
		return nil, nil
	}
	for _, i := range replace {
		first := true
		for _, r := range w.look.odd[i].own {
			switch {
			case r.Metric != dataplane.Metric || r.TOS != 0:
				strays = append(strays, stray{r, i})
			case first:
				first = false
			default:
				doubles = append(doubles, r)
			}
		}
	}
	return doubles, strays
}

// superseded keeps those whose prefix was not refused: a stray may be the only
// route that the prefix has.
func (w *writer) superseded(strays []stray) []nl.Route {
	var out []nl.Route
	for _, s := range strays {
		if w.refused[s.wanted] == nil {
			out = append(out, s.route)
		}
	}
	return out
}

// put writes wanted routes, by index.
func (w *writer) put(name string, verb nl.Verb, todo []int) {
	refuse := func(i int, err error) { w.refused[i] = fmt.Errorf("%s route %s: %w", name, w.look.want[i], err) }
	todo = slices.DeleteFunc(todo, func(i int) bool {
		err := w.obstacle(i)
		if err != nil {
			refuse(i, err)
		}
		return err != nil
	})
	var raw nl.Route
	w.Send(len(todo), func(n int, b []byte) []byte {
		w.look.links.encode(&raw, &w.look.want[todo[n]])
		return verb.Append(b, &raw)
	}, func(n int, err error) {
		refuse(todo[n], explain(err))
		w.again = w.again || passing(err)
	})
	w.sent = w.sent || len(todo) > 0
}

// obstacle is what keeps a wanted route from being sent: a foreign one with
// prefix and metric of ours, because the kernel would replace that one; a link
// that does not exist.
func (w *writer) obstacle(i int) error {
	if s := w.look.odd[i]; s != nil && s.twin != nil {
		return rivalError(s.twin)
	}
	return w.look.links.missing(&w.look.want[i])
}

// remove deletes routes as they were listed. One that is gone already is well.
func (w *writer) remove(routes []nl.Route) error {
	var errs []error
	w.Send(len(routes), func(i int, b []byte) []byte { return nl.Delete.Append(b, &routes[i]) }, func(i int, err error) {
		if !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("delete route %s metric %d: %w", routes[i].Prefix, routes[i].Metric, explain(err)))
		}
	})
	w.sent = w.sent || len(routes) > 0
	return errors.Join(errs...)
}
