package cniplugin_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin/store"
)

// Pods take of the pools that their network names, and never of one that is not
// for them.
func TestPools(t *testing.T) {
	n := newNode(t)
	n.update(t, func(s *store.State) {
		s.SetLeases([]store.Lease{
			{CIDR: netip.MustParsePrefix("10.77.0.0/26"), UID: "a", Pool: "lan", IPAMOnly: true},
			{CIDR: netip.MustParsePrefix("10.77.1.0/26"), UID: "b", Pool: "blue"},
			{CIDR: netip.MustParsePrefix("10.77.2.0/26"), UID: "c", Pool: "red"},
			{CIDR: netip.MustParsePrefix("fd77:2::/122"), UID: "d", Pool: "red"},
		})
	})
	for pools, want := range map[string][]string{
		"": {"10.77.1.0", "fd77:2::"}, `"pools":["red"]`: {"10.77.2.0", "fd77:2::1"}, `"pools":["blue"]`: {"10.77.1.1"},
	} {
		var more []string
		if pools != "" {
			more = []string{pools}
		}
		p := n.newPod(t, "1.1.0", more...)
		var got []string
		for _, a := range addresses(p.mustAdd(t)) {
			got = append(got, a.String())
		}
		if len(got) != len(want) || slices.ContainsFunc(got, func(a string) bool { return !samePool(a, want) }) {
			t.Errorf("%s: got %v, want of the blocks of %v", pools, got, want)
		}
		if err := p.check(); err != nil {
			t.Errorf("%s: CHECK: %v", pools, err)
		}
	}
	for pools, says := range map[string]string{
		`["green"]`: "is of pool blue, not of green", `["lan"]`: "pool lan is for fairlead-ipam alone",
	} {
		_, err := n.newPod(t, "1.1.0", `"pools":`+pools).add()
		expect(t, err, types.ErrTryAgainLater, says)
	}
}

// samePool says that the address is of the /120 of one of those.
func samePool(addr string, of []string) bool {
	return slices.ContainsFunc(of, func(o string) bool {
		a, b := netip.MustParseAddr(addr), netip.MustParseAddr(o)
		return a.BitLen() == b.BitLen() && netip.PrefixFrom(b, b.BitLen()-6).Masked().Contains(a)
	})
}

// Capabilities ips and mac, by each of the ways that runtimes have.
func TestAskedForAddressesAndMAC(t *testing.T) {
	n := newNode(t, block4, block6)
	const mac = "02:00:00:00:00:aa"
	for i, tc := range []struct {
		more, args string
		want       []string
	}{
		{`"runtimeConfig":{"ips":["10.77.1.40/26","fd77:1::28"],"mac":"` + mac + `"}`, "", []string{"10.77.1.40", "fd77:1::28"}},
		{`"runtimeConfig":{"ips":["fd77:1::29"],"mac":"` + mac + `"}`, "", []string{"10.77.1.0", "fd77:1::29"}},
		{`"args":{"cni":{"ips":["10.77.1.41"],"mac":"` + mac + `"}}`, "", []string{"10.77.1.41", "fd77:1::"}},
		{`"args":{}`, "IgnoreUnknown=1;IP=10.77.1.42;MAC=" + mac, []string{"10.77.1.42", "fd77:1::1"}},
	} {
		p := n.newPod(t, "1.1.0", tc.more)
		out, err := n.run("ADD", n.conf("1.1.0", tc.more), append(p.env(), "CNI_ARGS="+tc.args)...)
		if err != nil {
			t.Errorf("%d: %v", i, err)
			continue
		}
		for _, want := range append(tc.want, mac) {
			if !strings.Contains(out, want) {
				t.Errorf("%d: the result lacks %s: %s", i, want, out)
			}
		}
		if got := p.ns.Run(t, "ip", "link", "show", "dev", "eth0"); !strings.Contains(got, mac) {
			t.Errorf("%d: the pod's link: %s", i, got)
		}
		for _, addr := range tc.want {
			n.ns.Run(t, "ip", "addr", "replace", "192.0.2.1/32", "dev", "lo")
			n.ns.Run(t, "ping", "-c", "1", "-W", "5", addr)
		}
		if _, err := n.run("CHECK", n.conf("1.1.0", tc.more, `"prevResult":`+out), append(p.env(), "CNI_ARGS="+tc.args)...); err != nil {
			t.Errorf("%d: CHECK: %v", i, err)
		}
	}
}

// An address that cannot be given: the error names it and says what there is.
func TestAskedForAddressesThatCannotBe(t *testing.T) {
	n := newNode(t)
	n.update(t, func(s *store.State) {
		s.SetLeases([]store.Lease{
			{CIDR: block4, UID: "a", Pool: "blue", Reserved: []netip.Prefix{netip.MustParsePrefix("10.77.1.8/29")}},
			{CIDR: netip.MustParsePrefix("10.77.2.0/26"), UID: "b", Pool: "old", Closed: true},
			{CIDR: netip.MustParsePrefix("10.77.3.0/26"), UID: "c", Pool: "lan", IPAMOnly: true},
		})
	})
	first := n.newPod(t, "1.1.0")
	first.mustAdd(t)
	asking := func(ip string) error {
		_, err := n.newPod(t, "1.1.0", `"capabilities":{"ips":true}`, `"runtimeConfig":{"ips":["`+ip+`"]}`).add()
		return err
	}
	expect(t, asking("10.9.9.9"), 102, "address 10.9.9.9 cannot be given", "block 10.77.1.0/26 uses 1 of 56", "10.77.2.0/26 is closed", "for fairlead-ipam alone")
	expect(t, asking("10.77.1.9"), 102, "10.77.1.9", "reserved")
	expect(t, asking("10.77.2.9"), 102, "10.77.2.9", "10.77.2.0/26 is closed")
	expect(t, asking("10.77.3.9"), 102, "10.77.3.9")
	expect(t, asking("10.77.1.0"), types.ErrTryAgainLater, "10.77.1.0 is in use by pod default/"+first.rt.ContainerID)
	if held := n.state(t).Allocations; len(held) != 1 {
		t.Errorf("held: %+v", held)
	}
}

// An address that is asked for does not wait for its cooldown, and says so.
func TestAskedForAddressWithinItsCooldown(t *testing.T) {
	n := newNode(t, block4)
	p := n.newPod(t, "1.1.0")
	p.mustAdd(t)
	if err := p.del(); err != nil {
		t.Fatal(err)
	}
	again := n.newPod(t, "1.1.0", `"args":{"cni":{"ips":["10.77.1.0"]}}`)
	if got := addresses(again.mustAdd(t))[0].String(); got != "10.77.1.0" || n.state(t).CooldownWaived != 1 {
		t.Errorf("got %s, %d cooldowns waived", got, n.state(t).CooldownWaived)
	}
}

// Section 3: a runtime derives runtimeConfig from the capabilities that the
// configuration declares.
func TestCapabilities(t *testing.T) {
	n := newNode(t, block4, block6)
	const mac = "02:00:00:00:00:bb"
	p := n.newPod(t, "1.0.0", `"capabilities":{"ips":true,"mac":true}`)
	p.rt.CapabilityArgs = map[string]any{"ips": []string{"10.77.1.50/26", "fd77:1::32"}, "mac": mac, "portMappings": []any{}}
	r := p.mustAdd(t)
	if diff := cmp.Diff("[10.77.1.50 fd77:1::32]", fmt.Sprint(addresses(r))); diff != "" || r.Interfaces[1].Mac != mac {
		t.Errorf("addresses (-want +got):\n%s\ninterface %+v", diff, r.Interfaces[1])
	}
	if err := p.check(); err != nil {
		t.Errorf("CHECK: %v", err)
	}
}
