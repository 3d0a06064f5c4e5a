package lab

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"fairlead.dev/hack/lab/topology"
)

// underlayTable is the ToRs' nftables table.
const underlayTable = "inet lab-underlay"

// DropInUnderlay makes every ToR drop what it would forward from or to one of the
// ranges, as an underlay does that was never told of pods. Within a rack nothing
// is forwarded. UndropInUnderlay ends it.
func (l *Lab) DropInUnderlay(ctx context.Context, ranges ...netip.Prefix) error {
	var rules strings.Builder
	fmt.Fprintf(&rules, "table %s {\n chain forward {\n  type filter hook forward priority 0;\n", underlayTable)
	for _, p := range ranges {
		family := map[topology.Family]string{topology.V4: "ip", topology.V6: "ip6"}[topology.FamilyOf(p.Addr())]
		fmt.Fprintf(&rules, "  %[1]s saddr %[2]s counter drop\n  %[1]s daddr %[2]s counter drop\n", family, p)
	}
	rules.WriteString(" }\n}\n")
	return each(ctx, l.tors(), func(ctx context.Context, tor string) error {
		line := enter(l.NSName(tor), "nft", "-f", "-")
		_, err := run(ctx, rules.String(), line[0], line[1:]...)
		return err
	})
}

// UndropInUnderlay undoes DropInUnderlay.
func (l *Lab) UndropInUnderlay(ctx context.Context) error {
	return each(ctx, l.tors(), func(ctx context.Context, tor string) error {
		_, err := l.Exec(ctx, tor, append([]string{"nft", "delete", "table"}, strings.Fields(underlayTable)...)...)
		return err
	})
}

func (l *Lab) tors() []string {
	var names []string
	for _, r := range l.Topology().Racks {
		for _, tor := range r.ToRs {
			names = append(names, tor.Name)
		}
	}
	return names
}
