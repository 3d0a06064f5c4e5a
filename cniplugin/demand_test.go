package cniplugin

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestReadDemand(t *testing.T) {
	for _, tc := range []struct {
		name, conf, args string
		want             string // ips and MAC, or what the error says
		err              error
	}{
		{"nothing", `{}`, "", "[] 00:00:00:00:00:00", nil},
		{"null", `{"runtimeConfig":null,"args":null}`, "IgnoreUnknown=1", "[] 00:00:00:00:00:00", nil},
		{"capabilities", `{"runtimeConfig":{"ips":["10.0.0.1/24","fd00::1"],"mac":"02:00:00:00:00:01"}}`, "", "[10.0.0.1/24 fd00::1/128] 02:00:00:00:00:01", nil},
		{"args", `{"args":{"cni":{"ips":["10.0.0.1"],"mac":"02-00-00-00-00-01","labels":[]}}}`, "", "[10.0.0.1/32] 02:00:00:00:00:01", nil},
		{"CNI_ARGS", `{}`, "IgnoreUnknown=1;IP=10.0.0.1,fd00::1/64;MAC=02:00:00:00:00:01", "[10.0.0.1/32 fd00::1/64] 02:00:00:00:00:01", nil},
		{"capabilities before args", `{"runtimeConfig":{"ips":["10.0.0.1"]},"args":{"cni":{"ips":["10.0.0.2"],"mac":"02:00:00:00:00:02"}}}`, "IP=10.0.0.3;MAC=02:00:00:00:00:03", "[10.0.0.1/32] 02:00:00:00:00:02", nil},
		{"args before CNI_ARGS", `{"args":{"cni":{"ips":["fd00::1"]}}}`, "IP=10.0.0.3;MAC=02:00:00:00:00:03", "[fd00::1/128] 02:00:00:00:00:03", nil},
		{"an IPv4 address in IPv6's form", `{"runtimeConfig":{"ips":["::ffff:10.0.0.1"]}}`, "", "[10.0.0.1/32] 00:00:00:00:00:00", nil},
		{"two of a family", `{"runtimeConfig":{"ips":["10.0.0.1","10.0.0.2"]}}`, "", `runtimeConfig.ips: "10.0.0.2" is a second IPv4 address`, errConf},
		{"no address", `{"runtimeConfig":{"ips":["web"]}}`, "", `runtimeConfig.ips: "web" must be an address`, errConf},
		{"a zone", `{"runtimeConfig":{"ips":["fe80::1%eth0"]}}`, "", `"fe80::1%eth0" must be`, errConf},
		{"ips of another type", `{"runtimeConfig":{"ips":"10.0.0.1"}}`, "", "ips", errDecode},
		{"no address in args", `{"args":{"cni":{"ips":[""]}}}`, "", `args.cni.ips: "" must be`, errConf},
		{"no address in CNI_ARGS", `{}`, "IP=x", `CNI_ARGS: ips: "x" must be`, errEnv},
		{"group MAC", `{"runtimeConfig":{"mac":"01:00:5e:00:00:01"}}`, "", "a group's address", errConf},
		{"MAC of zeros", `{"runtimeConfig":{"mac":"00:00:00:00:00:00"}}`, "", "nobody's", errConf},
		{"EUI-64", `{"runtimeConfig":{"mac":"02:00:00:00:00:00:00:01"}}`, "", "must be an Ethernet address", errConf},
		{"no MAC", `{}`, "MAC=x", `CNI_ARGS: mac: "x" must be`, errEnv},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := request{config: []byte(tc.conf), args: tc.args}.readDemand()
			if !errors.Is(err, tc.err) {
				t.Fatalf("error is %v, want %v", err, tc.err)
			}
			got := fmt.Sprint(d.ips, " ", macString(d.mac))
			if err != nil {
				got = err.Error()
			}
			if got != tc.want && (err == nil || !strings.Contains(got, tc.want)) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
