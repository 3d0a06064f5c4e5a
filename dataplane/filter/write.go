package filter

import (
	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
)

// chunk of elements in a message: their attribute's length has 16 bits, and the
// kernel stores what is left of a longer one without a word.
const chunk = 1000

// rebuild makes the table from nothing. Made, deleted and made again, it may
// have been there or not.
func (t *Table) rebuild(wanted []set) error {
	t.conn.AddTable(table())
	t.conn.DelTable(table())
	t.conn.AddTable(table())
	for _, s := range wanted {
		s.Table = table()
		if err := t.conn.AddSet(&s.Set, nil); err != nil {
			return err
		}
		if err := t.fill(s); err != nil {
			return err
		}
	}
	all := chains()
	for _, c := range all { // before the rules, which jump to them
		c.Table = table()
		t.conn.AddChain(&c.Chain)
	}
	for _, c := range all {
		for _, r := range c.rules {
			t.conn.AddRule(&nftables.Rule{Table: table(), Chain: &c.Chain, Exprs: r.exprs, UserData: r.userData()})
		}
	}
	return t.conn.Flush()
}

// refill changes those sets that differ. Emptied and filled in one transaction,
// a set holds the old elements or the new ones for any packet.
func (t *Table) refill(wanted []set, have contents) error {
	for _, s := range wanted {
		if !have.differs(s) {
			continue
		}
		s.Table = table()
		t.conn.FlushSet(&s.Set)
		if err := t.fill(s); err != nil {
			return err
		}
	}
	return t.conn.Flush()
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
