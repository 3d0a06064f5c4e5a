package cniplugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/containernetworking/cni/pkg/types"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/link"
)

// FuzzConfiguration: whatever is on standard input, every verb's reading of it
// ends in an error that has a code and says what to do, or in values that hold.
func FuzzConfiguration(f *testing.F) {
	for _, seed := range []string{
		network(Type, "1.1.0"), network(IPAMType, "1.0.0"), `{}`, `null`, `[]`, ``, `{"cniVersion":"1.1.0","name":"n","mtu":1e3}`,
		`{"cniVersion":"1.1.0","name":"n","mtu":1500,"pools":["a"],"cni.dev/valid-attachments":[{"containerID":"a","ifname":"b"}]}`,
		`{"cniVersion":"1.0.0","name":"n","prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1/32","interface":7}],"routes":[null]}}`,
		`{"cniVersion":"0.3.1","name":"n","prevResult":{"interfaces":[{"name":"eth0"}],"ips":[{"version":"4","address":"10.0.0.1/8","interface":-1}],"dns":{"nameservers":["x"]}}}`,
		`{"cniVersion":"0.4.0","name":"n","prevResult":{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.1/8","routes":[{"dst":"0.0.0.0/0"}]}}}`,
		`{"cniVersion":"0.4.0","name":"n","prevResult":{"Interfaces":[null],"IPS":[null]}}`,
		`{"cniVersion":"1.1.0","name":"n","runtimeConfig":{"ips":["::ffff:10.0.0.1/96","10.0.0.1/33"],"mac":"02:00:00:00:00:01"},"args":{"cni":{"ips":["fe80::1%x"]}}}`,
		`{"cniVersion":"0.3.1","name":"n","prevResult":{"interfaces":[{"name":"eth0"}],"ips":[{"version":"4"}]}}`,
		`{"cniVersion":"1.1.0","name":"n","prevResult":{"routes":[{}]}}`,
		"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"runD\x91ir\":\"/nowhere\"}",
		`{"cniVersion":"1.1.0","name":"n","ipam":{"pools":["p"],"prefixLength":1,"prefixLength6":128,"gateway":"::ffff:1.2.3.4","routes":[{"dst":"::/0"},{}],"dns":{"nameservers":[""]}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := request{verb: "ADD"}
		if err := r.readConfig(bytes.NewReader(data), verb{}); err != nil {
			checkCoded(t, err)
			return
		}
		c, err := parseConf(data)
		checkCoded(t, err)
		if err == nil && (c.RunDir[0] != '/' || c.MTU > dataplane.MaxMTU || slices.Contains(c.Pools, "")) {
			t.Fatalf("accepted %+v", c)
		}
		_, err = parsePlace(data)
		checkCoded(t, err)
		_, err = r.validAttachments()
		checkCoded(t, err)
		fuzzDemand(t, r)
		fuzzPrevious(t, r)
		fuzzIPAM(t, data)
	})
}

// checkCoded wants a kind of its own for each error, none that is merely "internal".
func checkCoded(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var out bytes.Buffer
	if err := printError(&out, "", err); err != nil {
		t.Fatalf("%v cannot be printed", err)
	}
	var f failure
	if err := json.Unmarshal(out.Bytes(), &f); err != nil || f.Code == types.ErrInternal || f.Details == "" || !utf8.Valid(out.Bytes()) {
		t.Fatalf("error %+v of %v: %v", f, err, out.String())
	}
}

func fuzzDemand(t *testing.T, r request) {
	d, err := r.readDemand()
	checkCoded(t, err)
	if err != nil {
		return
	}
	if len(d.ips) > 2 || d.mac[0]&1 == 1 {
		t.Fatalf("accepted %+v", d)
	}
	for _, ip := range d.ips {
		if !ip.IsValid() || ip.Addr().Is4In6() || ip.Addr().Zone() != "" {
			t.Fatalf("accepted %s", ip)
		}
	}
}

// fuzzPrevious passes a previous result on, in every version.
func fuzzPrevious(t *testing.T, r request) {
	prev, err := r.previous()
	checkCoded(t, err)
	if err != nil || prev == nil {
		return
	}
	r.netns, r.ifName = "/run/netns/x", "eth0"
	_ = podAddresses(prev, r)
	_ = hasDefault(prev, link.Gateway(spec().Addresses[0]))
	before := len(prev.IPs)
	for _, version := range supported() {
		r.version = version
		var out bytes.Buffer
		if err := printResult(&out, result(prev, r, spec()), version); err != nil {
			checkCoded(t, err)
			return
		}
		before += len(spec().Addresses)
		again, err := request{config: []byte(`{"prevResult":` + out.String() + `}`), version: version}.previous()
		if err != nil || len(again.IPs) != before {
			t.Fatalf("%s: what was printed does not read back: %v\n%s", version, err, out.String())
		}
	}
}

func fuzzIPAM(t *testing.T, data []byte) {
	_, err := parseIPAMPlace(data)
	checkCoded(t, err)
	c, err := parseIPAM(data)
	checkCoded(t, err)
	if err != nil {
		return
	}
	s := store.State{}
	s.SetLeases([]store.Lease{{CIDR: block("10.0.0.0/28"), Pool: c.Pools[0]}, {CIDR: block("fd00::/124"), Pool: c.Pools[0]}})
	addrs, err := s.Allocate(store.Request{
		Attachment: store.Attachment{Kind: store.KindIPAM, ContainerID: "c"}, Pools: c.Pools, Families: c.families(), Skip: c.skip,
	})
	checkCoded(t, err)
	if err != nil {
		return
	}
	for _, addr := range addrs {
		checkCoded(t, c.checkAddress(addr))
	}
	for _, version := range supported() {
		checkCoded(t, printResult(&bytes.Buffer{}, c.result(addrs), version))
	}
}

// FuzzArguments: whatever is in the environment, it is refused with code 4 and the
// variable's name, or it is what the kernel and the store can take.
func FuzzArguments(f *testing.F) {
	f.Add("c1", "eth0", "/run/netns/x", "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-0;IP=10.0.0.1;MAC=02:00:00:00:00:01")
	f.Add("", "", "", "")
	f.Add("a\x00", "eth%d", "netns", "IP=10.0.0.1,10.0.0.2;MAC=")
	f.Add("\xff", "sixteen-bytes-xx", "..", ";=;;K8S_POD_NAME=\xff;IP=;MAC=ff:ff:ff:ff:ff:ff")
	id := regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$`) // as the specification has it
	f.Fuzz(func(t *testing.T, containerID, ifName, netns, args string) {
		environment := map[string]string{
			"CNI_COMMAND": "ADD", "CNI_CONTAINERID": containerID, "CNI_IFNAME": ifName, "CNI_NETNS": netns, "CNI_ARGS": args,
		}
		r, _, err := readEnvironment(func(name string) string { return environment[name] }, podVerbs())
		checkCoded(t, err)
		if err != nil {
			if !errors.Is(err, errEnv) || !strings.Contains(err.Error(), "CNI_") {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if !id.MatchString(r.containerID) || len(r.ifName) == 0 || len(r.ifName) > 15 || strings.ContainsAny(r.ifName, "/:% \x00") {
			t.Fatalf("accepted %+v", r)
		}
		r.config = []byte(`{}`)
		fuzzDemand(t, r)
		namespace, name := r.podName()
		if !utf8.ValidString(namespace+name) || len(namespace) > 253 || len(name) > 253 {
			t.Fatalf("pod %q/%q", namespace, name)
		}
		s := store.State{}
		s.SetLeases([]store.Lease{{CIDR: block("10.0.0.0/28")}})
		if _, err := s.Allocate(r.wants()); err != nil {
			t.Fatal(err)
		}
		if held := s.Free(r.attachment(), store.Stamp{}); len(held) != 1 {
			t.Fatalf("freed %+v", held)
		}
	})
}
