package cniplugin_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/link"
)

// Obligations of the CNI specification that need a kernel, beside those of
// add_test.go, check_test.go and verb_test.go. Those of the environment and of
// the configuration are in protocol_test.go.

// ADD, Section 2: a prevResult is passed on whatever version it is in, and one
// that cannot be is refused before anything is touched.
func TestAddTakesPrevResultOfItsVersion(t *testing.T) {
	n := newNode(t, block4)
	for _, tc := range []struct{ version, prev, refused string }{
		{"0.3.1", `{"interfaces":[{"name":"o0"}],"ips":[{"version":"4","interface":0,"address":"192.0.2.9/24"}],"dns":{}}`, ""},
		{"0.4.0", `{"cniVersion":"0.4.0","interfaces":[{"name":"o0"}],"ips":[{"version":"4","address":"192.0.2.9/24"}]}`, ""},
		{"0.4.0", `{"cniVersion":"1.0.0","ips":[{"address":"192.0.2.9/24"}]}`, ""},
		{"1.1.0", `{"ips":[{"address":"192.0.2.9/24"}]}`, ""},
		{"1.1.0", `{"cniVersion":"1.0.0","ips":[{"address":"192.0.2.9/24"}],"routes":[]}`, ""},
		{"0.3.1", `{"interfaces":[null]}`, "interfaces[0] is null"},
		{"0.4.0", `{"ips":[null]}`, "ips[0] is null"},
		{"1.0.0", `{"routes":[null]}`, "routes[0] is null"},
		{"1.0.0", `{"ips":[{"address":"x"}]}`, "prevResult"},
		{"1.0.0", `{"cniVersion":"3.0.0"}`, "3.0.0"},
		{"1.0.0", `{"cniVersion":7}`, "prevResult"},
	} {
		p := n.newPod(t, tc.version)
		out, err := n.run("ADD", n.conf(tc.version, `"prevResult":`+tc.prev), p.env()...)
		if tc.refused != "" {
			expect(t, err, types.ErrDecodingFailure, tc.refused)
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", tc.version, tc.prev, err)
			continue
		}
		var got struct {
			CNIVersion string
			IPs        []struct{ Address string }
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if got.CNIVersion != tc.version || len(got.IPs) != 2 || got.IPs[0].Address != "192.0.2.9/24" {
			t.Errorf("%s %s: %s", tc.version, tc.prev, out)
		}
	}
}

// Section 5: versions before 1.0.0 say the version of each address, 1.1.0 the MTU.
func TestResultHasTheFieldsOfItsVersion(t *testing.T) {
	for version, want := range map[string][2]string{
		"0.3.1": {`"version": "4"`, `"mtu"`}, "0.4.0": {`"version": "6"`, `"mtu"`},
		"1.0.0": {`"address"`, `"mtu"`}, "1.1.0": {`"mtu": 1500`, `"version"`},
	} {
		n := newNode(t, block4, block6)
		out, err := n.run("ADD", n.conf(version), n.newPod(t, version).env()...)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out, want[0]) || strings.Contains(out, want[1]) {
			t.Errorf("%s: want %s and not %s:\n%s", version, want[0], want[1], out)
		}
	}
}

// ADD, a result that nobody takes: the attachment is undone, and the plugin does
// not die of it half-way.
func TestAddUndoesWhatItCannotTell(t *testing.T) {
	n := newNode(t, block4, block6)
	p := n.newPod(t, "1.1.0")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nsenter", "--net="+n.ns.Path(), filepath.Join(binDir, "fairlead"))
	cmd.Env = append([]string{"CNI_COMMAND=ADD"}, p.env()...)
	cmd.Stdin, cmd.Stdout = strings.NewReader(n.conf("1.1.0")), w
	err = cmd.Run()
	_ = w.Close()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("ended with %v", err)
	}
	n.checkNothingLeft(t)
	p.mustAdd(t) // nothing of the first is left in the pod either
}

// DEL, Section 2: a namespace path that has come to lead to the node's own, as
// /proc/PID/ns/net may after a reboot.
func TestDelWithTheNodesOwnNamespace(t *testing.T) {
	n := newNode(t, block4, block6)
	p := n.newPod(t, "1.1.0")
	p.mustAdd(t)
	if _, err := n.run("DEL", n.conf("1.1.0"), "CNI_CONTAINERID="+p.rt.ContainerID, "CNI_NETNS="+n.ns.Path(), "CNI_IFNAME=eth0"); err != nil {
		t.Errorf("DEL: %v", err)
	}
	n.checkNothingLeft(t)
}

// DEL, Section 2: best effort, whatever is in the rest of the configuration.
func TestDelWithAConfigurationThatIsWrong(t *testing.T) {
	n := newNode(t, block4)
	p := n.newPod(t, "1.1.0")
	p.mustAdd(t)
	wrong := n.conf("1.1.0", `"mtu":"much"`, `"pools":{}`, `"prevResult":[1]`, `"runtimeConfig":{"ips":7,"mac":7}`)
	if _, err := n.run("DEL", wrong, p.env()...); err != nil {
		t.Errorf("DEL: %v", err)
	}
	n.checkNothingLeft(t)
}

// DEL after a reboot: the store is new, others have the addresses that the stale
// result lists, and keep them.
func TestDelAfterARebootFreesNobodyElses(t *testing.T) {
	n := newNode(t, netip.MustParsePrefix("10.77.1.0/32"), netip.MustParsePrefix("fd77:1::/128"))
	old := n.newPod(t, "1.1.0")
	stale := old.mustAdd(t)
	n.ns.Run(t, "ip", "link", "del", stale.Interfaces[0].Name) // as all that was in the kernel
	n.remakeStore(t)
	n.lease(t, netip.MustParsePrefix("10.77.1.0/32"), netip.MustParsePrefix("fd77:1::/128"))
	heir := n.newPod(t, "1.1.0")
	if diff := cmp.Diff(fmt.Sprint(addresses(stale)), fmt.Sprint(addresses(heir.mustAdd(t)))); diff != "" {
		t.Fatalf("the test is about the same addresses:\n%s", diff)
	}
	for _, netns := range []string{old.rt.NetNS, "", "/run/netns/gone", heir.rt.NetNS} {
		_, err := n.run("DEL", n.conf("1.1.0", `"prevResult":`+asJSON(t, stale)),
			"CNI_CONTAINERID="+old.rt.ContainerID, "CNI_NETNS="+netns, "CNI_IFNAME=eth0")
		if err != nil {
			t.Errorf("DEL with namespace %q: %v", netns, err)
		}
	}
	if held := n.state(t).Allocations; len(held) != 2 || held[0].ContainerID != heir.rt.ContainerID {
		t.Errorf("held after the late DEL: %+v", held)
	}
	if err := heir.check(); err != nil {
		t.Errorf("the heir: %v", err)
	}
}

// remakeStore removes the store and makes it as the agent does, from the kernel's routes.
func (n *node) remakeStore(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(n.storeDir()); err != nil {
		t.Fatal(err)
	}
	now, err := store.Now()
	if err != nil {
		t.Fatal(err)
	}
	if _, made, err := store.Create(n.storeDir(), func() ([]dataplane.PodRoute, error) { return n.podRoutes(t), nil }, now); err != nil || !made.Rebuilt {
		t.Fatalf("%+v, %v", made, err)
	}
}

// podRoutes are those of the node's kernel, as the agent lists them.
func (n *node) podRoutes(t *testing.T) (routes []dataplane.PodRoute) {
	t.Helper()
	n.ns.Do(t, func() {
		node, err := link.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer node.Close()
		if routes, err = node.PodRoutes(); err != nil {
			t.Fatal(err)
		}
	})
	return routes
}

// The store removed under live pods: verbs refuse or do without it, and once the
// agent has rebuilt it no address is given twice, and DEL, CHECK and GC work.
func TestStoreRemovedUnderLivePods(t *testing.T) {
	n := newNode(t, netip.MustParsePrefix("10.77.1.0/30"), block6)
	a, b, c := n.newPod(t, "1.1.0"), n.newPod(t, "1.1.0"), n.newPod(t, "1.1.0")
	for _, p := range []*pod{a, b, c} {
		p.mustAdd(t)
	}
	routes := n.podRoutes(t)
	if err := os.RemoveAll(n.storeDir()); err != nil {
		t.Fatal(err)
	}
	expect(t, a.check(), types.ErrTryAgainLater, "not there yet")
	if err := c.del(); err != nil {
		t.Errorf("DEL without a store: %v", err)
	}
	n.remakeStore(t)
	if len(routes) != 6 || len(n.state(t).Allocations) != 4 {
		t.Errorf("%d routes of three pods, entries %+v", len(routes), n.state(t).Allocations)
	}
	n.lease(t, netip.MustParsePrefix("10.77.1.0/30"), block6)
	if err := a.check(); err != nil {
		t.Errorf("CHECK after the rebuild: %v", err)
	}
	if _, err := n.run("GC", n.conf("1.1.0", `"cni.dev/valid-attachments":[]`)); err != nil || len(n.state(t).Allocations) != 4 {
		t.Errorf("GC took entries that name no network: %v, %+v", err, n.state(t).Allocations)
	}
	_, err := a.add()
	expect(t, err, 100) // its interface is there
	var got []string
	for range 2 { // two of four addresses are left
		got = append(got, addresses(n.newPod(t, "1.1.0").mustAdd(t))[0].String())
	}
	if diff := cmp.Diff([]string{"10.77.1.2", "10.77.1.3"}, got); diff != "" {
		t.Errorf("addresses after the rebuild (-want +got):\n%s", diff)
	}
	for _, p := range []*pod{a, b} {
		if err := p.del(); err != nil {
			t.Error(err)
		}
	}
	if held := n.state(t).Allocations; len(held) != 4 {
		t.Errorf("held: %+v", held)
	}
}

// A store that a newer program wrote in its own format: nothing is written, a pod
// can end, and every other verb says what to do.
func TestStoreOfANewerFormat(t *testing.T) {
	n := newNode(t, block4)
	p, late := n.newPod(t, "1.1.0"), n.newPod(t, "1.1.0")
	p.mustAdd(t)
	path := filepath.Join(n.storeDir(), "state.json")
	const newer = `{"version":2,"leases":"elsewhere","allocations":[]}`
	if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := late.add()
	expect(t, err, types.ErrTryAgainLater, "format version 2", "a newer fairlead-agent wrote it")
	expect(t, p.check(), types.ErrTryAgainLater, "format version 2")
	_, err = n.run("STATUS", n.conf("1.1.0"))
	expect(t, err, types.ErrPluginNotAvailable, "format version 2")
	if err := p.del(); err != nil {
		t.Errorf("DEL: %v", err)
	}
	if links := n.links(t); len(links) != 0 {
		t.Errorf("links left: %v", links)
	}
	if got, _ := os.ReadFile(path); string(got) != newer {
		t.Errorf("the store was written: %s", got)
	}
}

// What a newer program added to the format stays, whatever an older one does.
func TestStoreKeepsWhatANewerProgramAdded(t *testing.T) {
	n := newNode(t, block4)
	path := filepath.Join(n.storeDir(), "state.json")
	const content = `{"version":1,"era":{"a":1},"leases":[{"cidr":"10.77.1.0/26","uid":"u","pool":"p","quota":5}],` +
		`"allocations":[{"address":"10.77.1.7","kind":"tunnel","peer":"x","hostVeth":""}],"released":[{"address":"10.77.1.9","at":5,"why":"y"}]}`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p := n.newPod(t, "1.1.0")
	p.mustAdd(t)
	if err := p.check(); err != nil {
		t.Error(err)
	}
	if _, err := n.run("GC", n.conf("1.1.0", `"cni.dev/valid-attachments":[]`)); err != nil {
		t.Error(err)
	}
	if err := p.del(); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"era":{"a":1}`, `"quota":5`, `"kind":"tunnel"`, `"peer":"x"`, `"why":"y"`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%s is lost: %s", want, got)
		}
	}
	n.update(t, func(s *store.State) { s.Allocations = nil }) // for the leak check
}

// STATUS answers from the store alone: with the agent dead and the uplink down for
// longer than ten minutes, the node stays Ready. Time is in the files, all of it.
func TestStatusOutlivesAgentAndRouter(t *testing.T) {
	n := newNode(t, block4, block6)
	n.newPod(t, "1.1.0").mustAdd(t)
	n.ns.Run(t, "ip", "link", "set", "lo", "down") // the only link that is no pod's
	n.update(t, func(s *store.State) {
		for i := range s.Allocations {
			s.Allocations[i].At -= 11 * time.Minute
		}
	})
	long := time.Now().Add(-11 * time.Minute)
	for _, name := range []string{".", "state.json", "lock"} {
		if err := os.Chtimes(filepath.Join(n.storeDir(), name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.run("STATUS", n.conf("1.1.0")); err != nil {
		t.Errorf("STATUS: %v", err)
	}
	n.newPod(t, "1.1.0").mustAdd(t)
}

// STATUS takes no lock: a stopped process that holds it does not make the node NotReady.
func TestStatusDoesNotWait(t *testing.T) {
	n := newNode(t, block4)
	s, err := store.Open(n.storeDir())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(func(*store.State) error {
		_, err := n.run("STATUS", n.conf("1.1.0")) // within the lock
		return err
	})
	if err != nil {
		t.Errorf("STATUS: %v", err)
	}
}

// STATUS of a network of certain pools.
func TestStatusOfPools(t *testing.T) {
	n := newNode(t, block4)
	n.update(t, func(s *store.State) {
		s.SetLeases([]store.Lease{
			{CIDR: block4, UID: "a", Pool: "blue"}, {CIDR: block6, UID: "b", Pool: "lan", IPAMOnly: true},
		})
	})
	for pools, want := range map[string]uint{
		`["blue"]`: 0, `["red","blue"]`: 0, `["red"]`: types.ErrPluginNotAvailable, `["lan"]`: types.ErrPluginNotAvailable,
	} {
		_, err := n.run("STATUS", n.conf("1.1.0", `"pools":`+pools))
		if code(err) != want || (err == nil) != (want == 0) {
			t.Errorf("%s: %v, want code %d", pools, err, want)
		}
	}
	n.update(t, func(s *store.State) { s.SetLeases(s.Leases[1:]) }) // only what is not for pods
	_, err := n.run("STATUS", n.conf("1.1.0"))
	expect(t, err, types.ErrPluginNotAvailable, "no address block")
}

// GC, Section 2: without output, and of this plugin's attachments alone.
func TestGCLeavesOtherKinds(t *testing.T) {
	n := newNode(t, block4)
	p := n.newPod(t, "1.1.0")
	p.mustAdd(t)
	n.update(t, func(s *store.State) {
		_, err := s.Allocate(store.Request{
			Attachment: store.Attachment{Kind: store.KindIPAM, ContainerID: "other", IfName: "net1"}, Network: "testnet", Pools: []string{"test"},
		})
		if err != nil {
			t.Error(err)
		}
	})
	out, err := n.run("GC", n.conf("1.1.0", `"cni.dev/valid-attachments":[]`))
	if err != nil || out != "" {
		t.Errorf("GC said %q, %v", out, err)
	}
	held := n.state(t).Allocations
	if len(held) != 1 || held[0].Kind != store.KindIPAM || len(n.links(t)) != 0 {
		t.Errorf("held after GC: %+v", held)
	}
	n.update(t, func(s *store.State) { s.Allocations = nil })
}

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

// GC, Section 2: an error does not stop it; what it could not undo stays taken,
// and is told.
func TestGCGoesOnAfterAnError(t *testing.T) {
	n := newNode(t, block4, block6)
	a, b := n.newPod(t, "1.1.0"), n.newPod(t, "1.1.0")
	for _, p := range []*pod{a, b} {
		p.mustAdd(t)
	}
	odd := store.Attachment{ContainerID: "odd", IfName: "eth0", HostVeth: "notours"}
	n.update(t, func(s *store.State) { // the first by address, and so first in turn
		s.Allocations[0].ContainerID, s.Allocations[0].HostVeth = odd.ContainerID, odd.HostVeth
	})
	_, err := n.run("GC", n.conf("1.1.0", `"cni.dev/valid-attachments":[]`))
	if err == nil || !strings.Contains(err.Error(), `container odd, interface eth0: delete link "notours"`) {
		t.Errorf("GC: %v", err)
	}
	if held := n.state(t).Allocations; len(held) != 1 || held[0].ContainerID != "odd" || len(n.links(t)) != 0 {
		t.Errorf("held after GC: %+v, links %v", held, n.links(t))
	}
	n.update(t, func(s *store.State) { s.Free(odd, store.Stamp{}) })
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
