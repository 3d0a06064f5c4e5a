package cniplugin_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"fairlead.dev/cniplugin/store"
)

// expect checks an error's code and that its words say what they must.
func expect(t *testing.T, err error, wantCode uint, words ...string) {
	t.Helper()
	if got := code(err); got != wantCode {
		t.Errorf("code is %d, want %d: %v", got, wantCode, err)
	}
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("error does not say %q: %v", word, err)
		}
	}
}

func (p *pod) env() []string {
	return []string{"CNI_CONTAINERID=" + p.rt.ContainerID, "CNI_NETNS=" + p.rt.NetNS, "CNI_IFNAME=" + p.rt.IfName}
}

func TestAddOnAnInterfaceThatExists(t *testing.T) {
	n := newNode(t, block4, block6)
	p := n.newPod(t, "1.1.0")
	p.ns.Run(t, "ip", "link", "add", "eth0", "type", "bridge")
	_, err := p.add()
	expect(t, err, 100, "eth0", "DEL first")
	if s := n.state(t); len(s.Allocations)+len(s.Released) != 0 {
		t.Errorf("an address was touched: %+v", s)
	}
	p.ns.Run(t, "ip", "link", "show", "dev", "eth0") // not ours to delete
}

func TestAddTwice(t *testing.T) {
	n := newNode(t, block4)
	p := n.newPod(t, "1.1.0")
	first := p.mustAdd(t)
	_, err := p.add()
	expect(t, err, 100, "eth0")
	// The same container in another namespace: the runtime lost its way.
	_, err = n.run("ADD", n.conf("1.1.0"), "CNI_CONTAINERID="+p.rt.ContainerID, "CNI_NETNS="+n.newPod(t, "1.1.0").rt.NetNS, "CNI_IFNAME=eth0")
	expect(t, err, 100, p.rt.ContainerID, "DEL")
	p.ns.Run(t, "ip", "addr", "show", "to", addresses(first)[0].String())
	if err := p.check(); err != nil {
		t.Errorf("the first ADD is broken by the others: %v", err)
	}
}

func TestAddSecondInterface(t *testing.T) {
	n := newNode(t, block4)
	p := n.newPod(t, "1.1.0")
	p.mustAdd(t)
	p.rt.IfName = "net1" // a second default route has no place in the pod
	_, err := p.add()
	expect(t, err, 100, "default route")
	if held := n.state(t).Allocations; len(held) != 1 || held[0].IfName != "eth0" {
		t.Errorf("held after the failed ADD: %+v", held)
	}
	p.rt.IfName = "eth0"
	if err := p.check(); err != nil {
		t.Errorf("the first interface: %v", err)
	}
}

func TestAddInTheNodesOwnNamespace(t *testing.T) {
	n := newNode(t, block4)
	_, err := n.run("ADD", n.conf("1.1.0"), "CNI_CONTAINERID=own", "CNI_NETNS="+n.ns.Path(), "CNI_IFNAME=eth0")
	expect(t, err, types.ErrInvalidEnvironmentVariables, "CNI_NETNS", "node's own")
}

func TestAddWithoutNamespace(t *testing.T) {
	n := newNode(t, block4)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/run/netns/is-not-there", file} {
		_, err := n.run("ADD", n.conf("1.1.0"), "CNI_CONTAINERID=none", "CNI_NETNS="+path, "CNI_IFNAME=eth0")
		expect(t, err, types.ErrInvalidEnvironmentVariables, "CNI_NETNS", path)
	}
}

func TestAddWithoutStore(t *testing.T) {
	n := newNode(t, block4)
	if err := os.RemoveAll(n.storeDir()); err != nil {
		t.Fatal(err)
	}
	_, err := n.newPod(t, "1.1.0").add()
	expect(t, err, types.ErrTryAgainLater, "not there yet", "fairlead-agent")
	if _, err := os.Stat(n.storeDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the plugin made the store: %v", err)
	}
}

func TestAddWithCorruptStore(t *testing.T) {
	n := newNode(t, block4)
	path := filepath.Join(n.storeDir(), "state.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := n.newPod(t, "1.1.0")
	_, err := p.add()
	expect(t, err, types.ErrTryAgainLater, path, "corrupt", "restart the fairlead-agent")
	if err := p.del(); err != nil {
		t.Errorf("DEL: %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "{" {
		t.Errorf("the plugin wrote the store: %q", got)
	}
}

func TestAddWithoutLease(t *testing.T) {
	_, err := newNode(t).newPod(t, "1.1.0").add()
	expect(t, err, types.ErrTryAgainLater, "no open address block", "IPPool")
}

func TestAddWhenExhausted(t *testing.T) {
	n := newNode(t, netip.MustParsePrefix("10.77.1.0/31"), block6)
	a, b, late := n.newPod(t, "1.1.0"), n.newPod(t, "1.1.0"), n.newPod(t, "1.1.0")
	first := a.mustAdd(t)
	b.mustAdd(t)
	_, err := late.add()
	expect(t, err, types.ErrTryAgainLater, "IPv4", "10.77.1.0/31 uses 2 of 2")
	if held := n.state(t).Allocations; len(held) != 4 {
		t.Errorf("an IPv6 address was taken alone: %+v", held)
	}
	b.ns.Run(t, "ping", "-c", "1", "-W", "5", addresses(first)[0].String())
	if err := a.del(); err != nil {
		t.Fatal(err)
	}
	again := late.mustAdd(t)
	if got := addresses(again)[0]; got != addresses(first)[0] || n.state(t).CooldownWaived != 1 {
		t.Errorf("got %s, %d cooldowns waived, want %s and 1", got, n.state(t).CooldownWaived, addresses(first)[0])
	}
}

// The second witness: the kernel routes the address, whatever the store says.
func TestAddOfAnAddressThatIsRouted(t *testing.T) {
	n := newNode(t, block4, block6)
	n.ns.Run(t, "ip", "link", "add", "other", "up", "type", "bridge")
	n.ns.Run(t, "ip", "route", "add", "fd77:1::/128", "dev", "other")
	p := n.newPod(t, "1.1.0")
	_, err := p.add()
	expect(t, err, types.ErrTryAgainLater, "fd77:1::", "routed already")
	n.checkNothingLeft(t)
	if strings.Contains(p.ns.Run(t, "ip", "-br", "link"), "eth0") {
		t.Error("eth0 is left in the pod")
	}
	r := p.mustAdd(t) // the next one takes other addresses
	if got := addresses(r); got[0].String() != "10.77.1.1" || got[1].String() != "fd77:1::1" {
		t.Errorf("got %v", got)
	}
}

// Cooldown and order of reuse as a runtime sees them.
func TestAddReusesTheOldestReleased(t *testing.T) {
	n := newNode(t, netip.MustParsePrefix("10.77.1.0/30"))
	var pods []*pod
	for range 4 {
		p := n.newPod(t, "1.1.0")
		p.mustAdd(t)
		pods = append(pods, p)
	}
	for _, i := range []int{2, 0} {
		if err := pods[i].del(); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"10.77.1.2", "10.77.1.0"} {
		if got := addresses(n.newPod(t, "1.1.0").mustAdd(t))[0].String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := n.state(t).CooldownWaived; got != 2 {
		t.Errorf("%d cooldowns waived, want 2", got)
	}
}

func TestUnknownKeyIsNamed(t *testing.T) {
	n := newNode(t, block4)
	p := n.newPod(t, "1.1.0")
	for key, value := range map[string]string{"runDirectory": `"/x"`, "MTU": "9000", "ipMasq": "true", "ipam": "{}", "dns": "{}"} {
		for _, verb := range []string{"ADD", "STATUS", "CHECK"} {
			_, err := n.run(verb, n.conf("1.1.0", `"`+key+`":`+value), p.env()...)
			expect(t, err, types.ErrUnsupportedField, `"`+key+`"`, value)
		}
		for _, verb := range []string{"DEL", "GC"} { // a pod can end in any case
			if _, err := n.run(verb, n.conf("1.1.0", `"`+key+`":`+value, `"cni.dev/valid-attachments":[]`), p.env()...); err != nil {
				t.Errorf("%s: %v", verb, err)
			}
		}
	}
	n.update(t, func(s *store.State) {
		if len(s.Allocations)+len(s.Released) != 0 {
			t.Errorf("addresses were touched: %+v", s)
		}
	})
}

func TestKeysOfTheRuntimeAreTaken(t *testing.T) {
	n := newNode(t, block4)
	p := n.newPod(t, "1.1.0")
	more := []string{
		`"capabilities":{"portMappings":true}`, `"runtimeConfig":{"portMappings":[]}`, `"args":{"cni":{}}`,
		`"cni.dev/valid-attachments":[]`, `"cni.dev/of-the-future":1`, `"prevResult":null`,
	}
	if _, err := n.run("ADD", n.conf("1.1.0", more...), p.env()...); err != nil {
		t.Error(err)
	}
}
