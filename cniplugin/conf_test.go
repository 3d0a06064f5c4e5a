package cniplugin

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/link"
)

func TestParseConf(t *testing.T) {
	for _, tc := range []struct {
		name, json string
		want       error
		says       string
	}{
		{"the least", `{"cniVersion":"1.1.0","name":"n","type":"fairlead"}`, nil, ""},
		{"everything", `{"cniVersion":"1.1.0","name":"n","type":"fairlead","runDir":"/x","mtu":9000,"pools":["a","b"]}`, nil, ""},
		{"unknown key", `{"name":"n","rundir":"/x"}`, errField, `key "rundir" with value "/x"`},
		{"the first of several", `{"zz":1,"aa":[1,2]}`, errField, `key "aa" with value [1,2]`},
		{"relative runDir", `{"runDir":"run"}`, errConf, `runDir is "run"`},
		{"small mtu", `{"mtu":1279}`, errConf, "mtu is 1279"},
		{"large mtu", `{"mtu":65536}`, errConf, "mtu is 65536"},
		{"negative mtu", `{"mtu":-1}`, errDecode, "mtu"},
		{"mtu as text", `{"mtu":"1500"}`, errDecode, "mtu"},
		{"pools as text", `{"pools":"a"}`, errDecode, "pools"},
		{"no pool", `{"pools":[]}`, errConf, "pools is empty"},
		{"pool without a name", `{"pools":["a",""]}`, errConf, "pools has an empty name"},
		{"not an object", `[]`, errDecode, "array"},
		{"cut short", `{"mtu":`, errDecode, "unexpected end"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseConf([]byte(tc.json))
			if !errors.Is(err, tc.want) || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error is %v, want %v that says %q", err, tc.want, tc.says)
			}
		})
	}
}

func TestParseConfDefaults(t *testing.T) {
	c, err := parseConf([]byte(`{"name":"n"}`))
	if err != nil || c.RunDir != "/run/fairlead" || c.MTU != 0 || c.Pools != nil {
		t.Errorf("got %+v, %v", c, err)
	}
}

// What is wrong with the rest of the configuration keeps no pod from ending.
func TestParsePlaceTakesNothingElseAmiss(t *testing.T) {
	c, err := parsePlace([]byte(`{"runDir":"/x","mtu":"much","pools":7,"runtimeConfig":[],"prevResult":"?","new":1}`))
	if err != nil || c.RunDir != "/x" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestPodName(t *testing.T) {
	long := strings.Repeat("x", 300)
	for args, want := range map[string][2]string{
		"": {},
		"IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-0;K8S_POD_UID=u": {"ns", "web-0"},
		"K8S_POD_NAME=a=b;;=;x":    {"", "a=b"},
		"K8S_POD_NAME=" + long:     {"", long[:253]},
		"K8S_POD_NAME=a\xffb;IP=x": {"", "ab"},
	} {
		namespace, name := request{args: args}.podName()
		if got := [2]string{namespace, name}; got != want {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
}

// Every error says what to do, and keeps its words.
func TestErrorCodes(t *testing.T) {
	for _, h := range hints() {
		e := cniError(errors.Join(errors.New("act and object"), h.is))
		if e.Code != h.code || h.do == "" || !strings.Contains(e.Msg, "act and object") || e.Details != h.do {
			t.Errorf("%v became %+v", h.is, e)
		}
	}
	own := types.NewError(50, "m", "d")
	if got := cniError(own); got != own {
		t.Errorf("a CNI error became %+v", got)
	}
	if got := cniError(errors.New("x")); got.Code != types.ErrInternal || got.Msg != "x" {
		t.Errorf("any other error became %+v", got)
	}
	if got := cniError(store.ErrBusy).Code; got != types.ErrTryAgainLater {
		t.Errorf("a busy store has code %d", got)
	}
}

func block(cidr string) netip.Prefix { return netip.MustParsePrefix(cidr) }

// spec is a pod's link as ADD makes it.
func spec() link.Spec {
	return link.Spec{
		Host: link.Name("c", "eth0"), Pod: "eth0", MTU: 1500,
		Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")},
	}
}
