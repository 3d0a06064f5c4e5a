package cniplugin

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseIPAM(t *testing.T) {
	for _, tc := range []struct {
		name, ipam string
		want       error
		says       string
	}{
		{"the least", `{"type":"fairlead-ipam","pools":["p"],"prefixLength":24}`, nil, ""},
		{"IPv6 alone", `{"pools":["p"],"prefixLength6":64,"gateway6":"fe80::1"}`, nil, ""},
		{"everything", `{"type":"fairlead-ipam","pools":["p","q"],"prefixLength":24,"prefixLength6":64,"gateway":"192.0.2.1","gateway6":"2001:db8::1",` +
			`"routes":[{"dst":"0.0.0.0/0"},{"dst":"2001:db8:1::/48","gw":"2001:db8::2"}],"dns":{"nameservers":["192.0.2.2"]},"runDir":"/x"}`, nil, ""},
		{"unknown key", `{"pools":["p"],"prefixLength":24,"subnet":"192.0.2.0/24"}`, errField, `"ipam.subnet" with value "192.0.2.0/24"`},
		{"no pools", `{"prefixLength":24}`, errConf, "ipam.pools is empty"},
		{"no family", `{"pools":["p"]}`, errConf, "ipam.prefixLength and ipam.prefixLength6 are missing"},
		{"long prefix", `{"pools":["p"],"prefixLength":33}`, errConf, "ipam.prefixLength is 33, must be 1 to 32"},
		{"no prefix", `{"pools":["p"],"prefixLength6":0}`, errConf, "ipam.prefixLength6 is 0, must be 1 to 128"},
		{"gateway of the other family", `{"pools":["p"],"prefixLength":24,"gateway":"2001:db8::1"}`, errConf, "ipam.gateway is 2001:db8::1, must be an IPv4"},
		{"gateway with a zone", `{"pools":["p"],"prefixLength6":64,"gateway6":"fe80::1%eth0"}`, errConf, "ipam.gateway6"},
		{"gateway without a length", `{"pools":["p"],"prefixLength6":64,"gateway":"192.0.2.1"}`, errConf, "ipam.prefixLength is missing"},
		{"gateway that is none", `{"pools":["p"],"prefixLength":24,"gateway":"gw"}`, errDecode, "gw"},
		{"route of a family that is not there", `{"pools":["p"],"prefixLength":24,"routes":[{"dst":"::/0"}]}`, errConf, "ipam.routes[0] is an IPv6 route"},
		{"gateway of a route", `{"pools":["p"],"prefixLength":24,"routes":[{"dst":"0.0.0.0/0","gw":"::1"}]}`, errConf, "must be of one family"},
		{"route that is none", `{"pools":["p"],"prefixLength":24,"routes":[{"dst":"x"}]}`, errDecode, "ipam"},
		{"route without dst", `{"pools":["p"],"prefixLength":24,"routes":[{}]}`, errConf, "ipam.routes[0] has no dst"},
		{"route null", `{"pools":["p"],"prefixLength":24,"routes":[null]}`, errConf, "ipam.routes[0] is null"},
		{"relative runDir", `{"pools":["p"],"prefixLength":24,"runDir":"x"}`, errConf, `runDir is "x"`},
		{"nothing", `null`, errConf, "ipam is missing"},
		{"a text", `"fairlead-ipam"`, errDecode, "string"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseIPAM([]byte(`{"cniVersion":"1.1.0","name":"n","type":"macvlan","master":"up","ipam":` + tc.ipam + `}`))
			if !errors.Is(err, tc.want) || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error is %v, want %v that says %q", err, tc.want, tc.says)
			}
		})
	}
}

// The gateway's address, the subnet's own and its broadcast are nobody else's.
func TestSkip(t *testing.T) {
	c, err := parseIPAM([]byte(`{"ipam":{"pools":["p"],"prefixLength":25,"gateway":"192.0.2.5","prefixLength6":64,"gateway6":"2001:db8::5",` +
		`"routes":[{"dst":"10.0.0.0/8","gw":"192.0.2.7"}],"dns":{"nameservers":["2001:db8::7","resolver"]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{
		"192.0.2.0": true, "192.0.2.1": false, "192.0.2.5": true, "192.0.2.7": true, "192.0.2.126": false, "192.0.2.127": true, "192.0.2.128": true, "192.0.2.255": true,
		"2001:db8::": true, "2001:db8::1": false, "2001:db8::5": true, "2001:db8::7": true, "2001:db8::ffff:ffff:ffff:ffff": false,
	} {
		if got := c.skip(netip.MustParseAddr(addr)); got != want {
			t.Errorf("skip %s: %v", addr, got)
		}
	}
	for _, of := range []struct {
		bits int
		addr string
	}{{31, "192.0.2.0"}, {32, "192.0.2.0"}, {127, "2001:db8::"}, {128, "2001:db8::"}} {
		if (subnet{bits: of.bits}).isWhole(netip.MustParseAddr(of.addr)) {
			t.Errorf("%s is more than one end of a /%d", of.addr, of.bits)
		}
	}
}

func TestCheckDemandOfANetwork(t *testing.T) {
	c, err := parseIPAM([]byte(`{"ipam":{"pools":["p"],"prefixLength":24,"gateway":"192.0.2.1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for ip, want := range map[string]string{
		"192.0.2.9": "", "192.0.2.9/24": "", "192.0.2.9/25": "prefix length is 24", "2001:db8::9": "no prefix length of IPv6",
	} {
		parsed, err := parseIP(ip)
		if err != nil {
			t.Fatal(err)
		}
		err = c.checkDemand(demand{ips: []netip.Prefix{parsed}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", ip, err, want)
		}
	}
	for addr, good := range map[string]bool{"192.0.2.9": true, "198.51.100.9": false} {
		if err := c.checkAddress(netip.MustParseAddr(addr)); (err == nil) != good {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
