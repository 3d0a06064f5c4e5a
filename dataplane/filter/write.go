package filter

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"

	"fairlead.dev/dataplane"
)

// chunk of elements in a message: their attribute's length has 16 bits, and the
// kernel stores what is left of a longer one without a word.
const chunk = 1000

// write makes a table that differs as it is wanted, or one that is not there.
//
// Sets stay, and so do the chains that are hooked. A packet sees the rules of one
// generation from a chain's beginning to its end, but the elements of sets as
// they are when it comes to them: the old rules would find the sets of a table
// that goes in the same transaction empty, and let a packet leave as it is.
// Emptied and filled in one transaction, a set holds the old elements or the new.
func (t *Table) write(wanted []set, have contents) error {
	if !have.intact {
		t.strip(have)
	}
	for i, s := range wanted {
		s.Table, s.ID = table(), uint32(i+1) // else the library counts, for all tables of a process
		if !have.holds(s) {
			if err := t.conn.AddSet(&s.Set, nil); err != nil {
				return err
			}
		} else if have.differs(s) {
			t.conn.FlushSet(&s.Set)
		} else {
			continue
		}
		if err := t.fill(s); err != nil {
			return err
		}
	}
	if !have.intact {
		t.addRules()
	}
	return t.conn.Flush()
}

// strip takes away what is to be made anew, and what is not ours to keep.
func (t *Table) strip(have contents) {
	t.conn.AddTable(table()) // one that is there wakes, if it is dormant
	t.conn.FlushTable(table())
	wanted := sets(dataplane.Filter{})
	for _, s := range have.sets {
		if !s.Anonymous && !slices.ContainsFunc(wanted, func(w set) bool { return sameSet(w, s) }) {
			t.conn.DelSet(s)
		}
	}
	all := chains()
	for _, c := range have.chains {
		if !slices.ContainsFunc(all, func(w chain) bool { return sameHook(w.Chain, *c) }) {
			t.conn.DelChain(c)
		}
	}
}

func (t *Table) addRules() {
	all := chains()
	for _, c := range all { // before the rules, which jump to them
		c.Table = table()
		if c.Hooknum != nil {
			c.Policy = new(nftables.ChainPolicyAccept)
		}
		t.conn.AddChain(&c.Chain)
	}
	for _, c := range all {
		for _, r := range c.rules {
			t.conn.AddRule(&nftables.Rule{Table: table(), Chain: &c.Chain, Exprs: r.exprs, UserData: r.userData()})
		}
	}
}

// rebuild makes the table from nothing, whatever is there.
func (t *Table) rebuild(wanted []set) error {
	t.conn.AddTable(table())
	t.conn.DelTable(table())
	return t.write(wanted, contents{})
}

func (t *Table) fill(s set) error {
	for left := s.elements; len(left) > 0; left = left[min(chunk, len(left)):] {
		if err := t.conn.SetAddElements(&s.Set, left[:min(chunk, len(left))]); err != nil {
			return err
		}
	}
	return nil
}

func (r rule) userData() []byte {
	if r.comment == "" {
		return nil
	}
	return userdata.AppendString(nil, userdata.TypeComment, r.comment)
}
