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
	chains   []*nftables.Chain
	sets     []*nftables.Set
	elements map[string][]nftables.SetElement
}

// holds says that a set is there, with whatever elements.
func (c contents) holds(s set) bool {
	return slices.ContainsFunc(c.sets, func(h *nftables.Set) bool { return sameSet(s, h) })
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
	all, err := t.conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return out, fmt.Errorf("list nft chains: %w", err)
	}
	out.chains = slices.DeleteFunc(all, func(c *nftables.Chain) bool { return c.Table.Name != Name })
	same, err := t.sameRules(out.chains)
	if err != nil {
		return out, fmt.Errorf("list the rules of table inet %s: %w", Name, err)
	}
	if out.sets, err = t.conn.GetSets(table()); err != nil {
		return out, fmt.Errorf("list the sets of table inet %s: %w", Name, err)
	}
	wanted := sets(dataplane.Filter{})
	missing := slices.ContainsFunc(wanted, func(s set) bool { return !out.holds(s) })
	// A dormant table is hooked nowhere.
	out.intact = found.Flags == 0 && same && !missing && len(out.sets) == len(wanted)
	out.elements = map[string][]nftables.SetElement{}
	for _, s := range out.sets {
		elements, err := t.conn.GetSetElements(s)
		if err != nil {
			return out, fmt.Errorf("list the elements of set %s: %w", s.Name, err)
		}
		sortElements(elements)
		out.elements[s.Name] = elements
	}
	return out, nil
}

func sameSet(want set, have *nftables.Set) bool {
	return have.Name == want.Name && have.Interval == want.Interval && have.IsMap == want.IsMap &&
		have.KeyType.Name == want.KeyType.Name && have.DataType.Name == want.DataType.Name && !have.HasTimeout && !have.Constant
}

func (t *Table) sameRules(held []*nftables.Chain) (bool, error) {
	wanted := chains()
	if len(held) != len(wanted) {
		return false, nil
	}
	for _, w := range wanted {
		i := slices.IndexFunc(held, func(h *nftables.Chain) bool { return sameHook(w.Chain, *h) })
		if i < 0 || held[i].Policy != nil && *held[i].Policy != nftables.ChainPolicyAccept {
			return false, nil
		}
		rules, err := t.conn.GetRules(table(), held[i])
		if err != nil {
			return false, err
		}
		if !slices.EqualFunc(w.rules, rules, sameRule) {
			return false, nil
		}
	}
	return true, nil
}

// sameHook says that a chain is the one that is wanted, with whatever policy.
func sameHook(want, have nftables.Chain) bool {
	if want.Name != have.Name || want.Hooknum == nil || have.Hooknum == nil {
		return want.Name == have.Name && want.Hooknum == have.Hooknum
	}
	return want.Type == have.Type && *want.Hooknum == *have.Hooknum && *want.Priority == *have.Priority
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
