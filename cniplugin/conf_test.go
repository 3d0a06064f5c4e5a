package cniplugin

import (
	"errors"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"fairlead.dev/cniplugin/store"
)

func TestParseConf(t *testing.T) {
	for _, tc := range []struct {
		name, json, want string // want: what the error says, "" for none
	}{
		{"the least", `{"cniVersion":"1.1.0","name":"n","type":"fairlead"}`, ""},
		{"everything", `{"cniVersion":"1.1.0","name":"n","type":"fairlead","runDir":"/x","mtu":9000}`, ""},
		{"unknown key", `{"name":"n","rundir":"/x"}`, `unknown key "rundir"`},
		{"the first of several", `{"zz":1,"aa":1}`, `unknown key "aa"`},
		{"relative runDir", `{"runDir":"run"}`, `runDir is "run"`},
		{"empty runDir", `{"runDir":""}`, `runDir is ""`},
		{"small mtu", `{"mtu":1279}`, "mtu is 1279"},
		{"large mtu", `{"mtu":65536}`, "mtu is 65536"},
		{"negative mtu", `{"mtu":-1}`, "mtu"},
		{"mtu as text", `{"mtu":"1500"}`, "mtu"},
		{"not an object", `[]`, "array"},
		{"cut short", `{"mtu":`, "unexpected end"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseConf([]byte(tc.json))
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (!errors.Is(err, errConf) || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error is %v, want one that says %q", err, tc.want)
			}
		})
	}
}

func TestParseConfDefaults(t *testing.T) {
	c, err := parseConf([]byte(`{"name":"n"}`))
	if err != nil || c.RunDir != "/run/fairlead" || c.MTU != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func FuzzParseConf(f *testing.F) {
	f.Add([]byte(`{"cniVersion":"1.1.0","name":"n","mtu":1500,"cni.dev/valid-attachments":[{"containerID":"a","ifname":"b"}]}`))
	f.Add([]byte(`{"cniVersion":"1.0.0","prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1/32","interface":7}],"routes":[null]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConf(data)
		if err != nil {
			if !errors.Is(err, errConf) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if _, err := c.previous(); err != nil && !errors.Is(err, errConf) {
			t.Fatalf("error of another kind: %v", err)
		}
	})
}

func TestPodName(t *testing.T) {
	for args, want := range map[string][2]string{
		"": {},
		"IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-0;K8S_POD_UID=u": {"ns", "web-0"},
		"K8S_POD_NAME=a=b;;=;x": {"", "a=b"},
	} {
		namespace, name := podName(args)
		if got := [2]string{namespace, name}; got != want {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
}

// Every error says what to do, and keeps its words.
func TestErrorCodes(t *testing.T) {
	for _, h := range hints {
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
