package filter

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
	"fairlead.dev/dataplane/nstest"
)

// Of all that the kernel tells, our own changes and those of others' tables do
// not matter; an Apply with nothing to do changes nothing.
func TestMatters(t *testing.T) {
	ns := nstest.New(t, "node")
	var table *Table
	var monitor *nl.Monitor
	ns.Do(t, func() {
		var err, subscribeErr error
		table, err = Open()
		monitor, subscribeErr = nl.SubscribeNFTables()
		if err != nil || subscribeErr != nil {
			t.Error(err, subscribeErr)
		}
	})
	defer table.Close()
	defer monitor.Close()
	want := dataplane.Filter{Pods: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}}
	// until reads up to a table of that name, which the test makes then.
	until := func(marker string) (mine, others, matter int) {
		ns.Run(t, "nft", "add", "table", "inet", marker)
		for seen := false; !seen; {
			err := monitor.Receive(t.Context(), func(e nl.Event) {
				switch {
				case e.PortID == table.self:
					mine++
				case e.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE && strings.Contains(string(e.Body), marker+"\x00"):
					seen = true
				default:
					others++
				}
				if table.matters(e) {
					matter++
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return mine, others, matter
	}
	apply := func(want dataplane.Filter) {
		if err := table.Apply(want); err != nil {
			t.Fatal(err)
		}
	}

	apply(dataplane.Filter{})
	apply(want)
	if mine, _, matter := until("first"); mine == 0 || matter != 0 {
		t.Errorf("of %d changes of our own %d matter, want none", mine, matter)
	}
	apply(want)
	if mine, _, _ := until("second"); mine != 0 {
		t.Errorf("%d changes by an Apply with nothing to do", mine)
	}
	for _, change := range []string{
		"add table ip fairlead", "delete table ip fairlead", "add table inet fairleads", "delete table inet fairleads",
		"add table inet other { set s { type ipv4_addr ; elements = { 1.2.3.4 } ; } ; chain c { counter ; } ; }",
	} {
		ns.Run(t, "nft", change)
	}
	if _, others, matter := until("third"); others == 0 || matter != 0 {
		t.Errorf("of %d changes of others' tables %d matter, want none", others, matter)
	}
	ns.Run(t, "nft", "add", "element", "inet", "fairlead", "pods4", "{ 1.2.3.4 }")
	if _, _, matter := until("fourth"); matter == 0 {
		t.Error("a change of our table does not matter")
	}
}
