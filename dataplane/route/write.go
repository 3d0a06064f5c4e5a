package route

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// writer carries out the operations that a survey showed to be needed.
type writer struct {
	kernel
	survey *survey
	// partial says that the survey was interrupted: what it shows may be gone or
	// told twice, so nothing is deleted on its word.
	partial bool
	// refused says for each prefix that could not be written, why.
	refused map[netip.Prefix]error
	// sent says that anything was sent at all.
	sent bool
}

// write makes before it breaks: replace, add, delete. The error joins the
// deletions that failed.
func (w *writer) write(ops dataplane.Ops) error {
	doubles, strays, unwanted := w.doomed(ops)
	doublesErr := w.remove(doubles)
	w.put("replace", ops.Replace, nl.ReplaceRoute)
	w.put("add", ops.Add, nl.AddRoute)
	strays = append(w.superseded(strays), unwanted...)
	return errors.Join(doublesErr, w.remove(strays))
}

// doomed are the routes to delete: before the replacements, after them, and
// because nobody wants them.
func (w *writer) doomed(ops dataplane.Ops) (doubles, strays, unwanted []nl.Route) {
	if w.partial {
		return nil, nil, nil
	}
	for _, r := range ops.Replace {
		d, s := w.survey.slots[r.Prefix].surplus()
		doubles, strays = append(doubles, d...), append(strays, s...)
	}
	for _, r := range ops.Delete {
		unwanted = append(unwanted, w.survey.slots[r.Prefix].own...)
	}
	return doubles, strays, unwanted
}

// surplus are the routes of a slot that have to go when it is replaced. Doubles
// have the metric of the one that is replaced and go before: IPv4 refuses to
// replace its first route by one that equals its second. Strays have another
// metric, are not replaced, and go after.
func (s *slot) surplus() (doubles, strays []nl.Route) {
	first := true
	for _, r := range s.own {
		switch {
		case r.Metric != dataplane.Metric || r.TOS != 0:
			strays = append(strays, r)
		case first:
			first = false
		default:
			doubles = append(doubles, r)
		}
	}
	return doubles, strays
}

// superseded keeps those whose prefix was not refused: a stray may be the only
// route that the prefix has.
func (w *writer) superseded(strays []nl.Route) []nl.Route {
	var out []nl.Route
	for _, r := range strays {
		if w.refused[r.Prefix] == nil {
			out = append(out, r)
		}
	}
	return out
}

// put writes routes, but none where a foreign route has prefix and metric of
// ours: the kernel would replace that one.
func (w *writer) put(verb string, routes []dataplane.Route, request func(nl.Route) nl.Message) {
	var sent []dataplane.Route
	var msgs []nl.Message
	for _, r := range routes {
		at := w.survey.slots[r.Prefix]
		if at != nil && at.twin != nil {
			w.refused[r.Prefix] = fmt.Errorf("%s route %s: %w", verb, r, rivalError(*at.twin))
			continue
		}
		raw, err := w.survey.links.encode(r)
		if err != nil {
			w.refused[r.Prefix] = fmt.Errorf("%s route %s: %w", verb, r, err)
			continue
		}
		sent, msgs = append(sent, r), append(msgs, request(raw))
	}
	for i, err := range w.Batch(msgs) {
		if err != nil {
			w.refused[sent[i].Prefix] = fmt.Errorf("%s route %s: %w", verb, sent[i], explain(err))
		}
	}
	w.sent = w.sent || len(msgs) > 0
}

// remove deletes routes as they were listed. One that is gone already is well.
func (w *writer) remove(routes []nl.Route) error {
	msgs := make([]nl.Message, len(routes))
	for i, r := range routes {
		msgs[i] = nl.DeleteRoute(r)
	}
	var errs []error
	for i, err := range w.Batch(msgs) {
		if err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("delete route %s metric %d: %w", routes[i].Prefix, routes[i].Metric, explain(err)))
		}
	}
	w.sent = w.sent || len(msgs) > 0
	return errors.Join(errs...)
}
