package filter

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
)

// contents is what the kernel holds under our name.
type contents struct {
	// intact says that all is there but, perhaps, other elements in the sets.
	intact   bool
	elements map[string][]nftables.SetElement
}

// differs says that a set holds other elements.
func (c contents) differs(s set) bool {
	want := slices.Clone(s.elements)
	sortElements(want)
	return !equalElements(want, c.elements[s.Name])
}

// differ says that any of the sets does.
func (c contents) differ(sets []set) bool { return slices.ContainsFunc(sets, c.differs) }

func (c contents) filter() (f dataplane.Filter) {
	for _, name := range []string{setPods4, setPods6} {
		found, _ := ranges(c.elements[name])
		f.Pods = append(f.Pods, found...)
	}
	for _, name := range []string{setTranslated4, setTranslated6} {
		found, _ := ranges(c.elements[name])
		f.Translated = append(f.Translated, found...)
	}
	for _, name := range []string{mapUplinks4, mapUplinks6} {
		f.Uplinks = append(f.Uplinks, uplinks(c.elements[name])...)
	}
	return f
}

// there says whether there is a table of our name.
func (t *Table) there() (bool, error) {
	found, err := t.list()
	return found != nil, err
}

func (t *Table) list() (*nftables.Table, error) {
	tables, err := t.conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, ErrUnsupported // nobody answers for the subsystem
	}
	if err != nil {
		return nil, fmt.Errorf("list nft tables: %w", err)
	}
	if i := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == Name }); i >= 0 {
		return tables[i], nil
	}
	return nil, nil
}

// read is not one look, but many: what changes meanwhile is told by Watch.
func (t *Table) read() (contents, error) {
	var out contents
	found, err := t.list()
	if err != nil || found == nil {
		return out, err
	}
	same, err := t.sameRules()
	if err != nil {
		return out, fmt.Errorf("list the rules of table inet %s: %w", Name, err)
	}
	held, err := t.conn.GetSets(table())
	if err != nil {
		return out, fmt.Errorf("list the sets of table inet %s: %w", Name, err)
	}
	// A dormant table is hooked nowhere.
	out.intact = found.Flags == 0 && same && sameSets(held)
	out.elements = map[string][]nftables.SetElement{}
	for _, s := range held {
		elements, err := t.conn.GetSetElements(s)
		if err != nil {
			return out, fmt.Errorf("list the elements of set %s: %w", s.Name, err)
		}
		sortElements(elements)
		out.elements[s.Name] = elements
	}
	return out, nil
}

func sameSets(held []*nftables.Set) bool {
	wanted := sets(dataplane.Filter{})
	if len(held) != len(wanted) {
		return false
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(held, func(h *nftables.Set) bool {
			return h.Name == w.Name && h.Interval == w.Interval && h.IsMap == w.IsMap &&
				h.KeyType.Name == w.KeyType.Name && h.DataType.Name == w.DataType.Name && !h.HasTimeout && !h.Constant
		}) {
			return false
		}
	}
	return true
}

func (t *Table) sameRules() (bool, error) {
	all, err := t.conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, err
	}
	held := map[string]*nftables.Chain{}
	for _, c := range all {
		if c.Table.Name == Name {
			held[c.Name] = c
		}
	}
	wanted := chains()
	if len(held) != len(wanted) {
		return false, nil
	}
	for _, w := range wanted {
		h := held[w.Name]
		if h == nil || !sameHook(w.Chain, *h) {
			return false, nil
		}
		rules, err := t.conn.GetRules(table(), h)
		if err != nil {
			return false, err
		}
		if !slices.EqualFunc(w.rules, rules, sameRule) {
			return false, nil
		}
	}
	return true, nil
}

func sameHook(want, have nftables.Chain) bool {
	if want.Hooknum == nil || have.Hooknum == nil {
		return want.Hooknum == have.Hooknum
	}
	return want.Type == have.Type && *want.Hooknum == *have.Hooknum && *want.Priority == *have.Priority &&
		have.Policy != nil && *have.Policy == nftables.ChainPolicyAccept
}

func sameRule(want rule, have *nftables.Rule) bool {
	return bytes.Equal(want.userData(), have.UserData) && bytes.Equal(canonical(want.exprs), canonical(have.Exprs))
}

// canonical bytes of a rule, without what the kernel counts or numbers itself.
func canonical(exprs []expr.Any) []byte {
	var out []byte
	for _, e := range exprs {
		switch x := e.(type) {
		case *expr.Counter:
			e = &expr.Counter{}
		case *expr.Lookup:
			known := *x
			known.SetID = 0
			e = &known
		}
		b, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil {
			return nil
		}
		out = append(out, b...)
	}
	return out
}
