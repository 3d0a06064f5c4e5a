package store

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane"
)

// newer is a state of this format with more in it than this program knows.
const newer = `{"version":1,"era":{"b":[1,2]},
 "leases":[{"cidr":"10.0.1.0/30","uid":"u","pool":"p","quota":5},{"cidr":"fd00::/126","uid":"v","pool":"p"}],
 "allocations":[{"address":"10.0.1.0","kind":"pod","containerID":"a","ifName":"eth0","hostVeth":"fla","vlan":7},
  {"address":"10.0.1.1","kind":"tunnel","peer":"x"}],
 "released":[{"address":"10.0.1.2","at":5,"why":"y"}]}`

func asMap(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestUnknownFieldsComeBack(t *testing.T) {
	s, err := decode([]byte(newer))
	if err != nil {
		t.Fatal(err)
	}
	data, err := encode(&s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(asMap(t, []byte(newer)), asMap(t, data)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.Free(who("a"), at(time.Second))
	add(t, &s, "b", time.Second)
	if data, err = encode(&s); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"era"`, `"quota":5`, `"peer":"x"`, `"why":"y"`, `"containerID":"b"`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%s is not in %s", want, data)
		}
	}
	if strings.Contains(string(data), "vlan") {
		t.Errorf("what was unknown of an entry outlived it: %s", data)
	}
}

// A change by an older program is a change of what it knows, no more.
func TestUpdateKeepsUnknownFields(t *testing.T) {
	s := newStore(t)
	path := filepath.Join(s.dir, stateFile)
	if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	mustUpdate(t, s, func(state *State) error { state.CooldownWaived = 3; return nil })
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := asMap(t, []byte(newer))
	want["cooldownWaived"] = 3.0
	if diff := cmp.Diff(want, asMap(t, data)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, made, err := Create(s.dir, nil, at(0)); err != nil || made.Rebuilt {
		t.Errorf("an older agent made it anew: %+v, %v", made, err)
	}
}

// A format that this program cannot read: nothing is written over it. An agent of
// this version keeps it aside and takes over what the kernel does not tell of.
func TestNewerFormat(t *testing.T) {
	s := newStore(t)
	path := filepath.Join(s.dir, stateFile)
	const content = `{"version":9,"leases":{"by":"pool"},"allocations":[{"address":"10.0.1.0","kind":"pod"},` +
		`{"address":"10.0.1.9","kind":"ipam","containerID":"a","ifName":"net1","netns":"/run/netns/a"},{"address":"10.0.1.8","kind":"ipam"}]}`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s.Read()
	if !errors.Is(err, ErrNewer) || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "format version 9, this program knows 1") {
		t.Errorf("read: %v", err)
	}
	if err := s.Update(func(*State) error { return nil }); !errors.Is(err, ErrNewer) {
		t.Errorf("update: %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != content {
		t.Errorf("written over: %s", got)
	}
	routes := func() ([]dataplane.PodRoute, error) {
		return []dataplane.PodRoute{{Address: netip.MustParseAddr("10.0.1.5"), HostVeth: "fla"}}, nil
	}
	_, made, err := Create(s.dir, routes, at(0))
	if err != nil || !made.Rebuilt {
		t.Fatalf("%+v, %v", made, err)
	}
	if got, _ := os.ReadFile(made.Aside); string(got) != content {
		t.Errorf("aside: %s", got)
	}
	state := mustRead(t, s)
	if diff := cmp.Diff([]string{"10.0.1.5", "10.0.1.8", "10.0.1.9"}, held(&state)); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	if freed := state.Free(Attachment{Kind: KindIPAM, ContainerID: "a", IfName: "net1"}, at(0)); len(freed) != 1 {
		t.Errorf("DEL of an entry taken over freed %+v", freed)
	}
}
