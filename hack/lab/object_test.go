package lab

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab/topology"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func testContext() context.Context { return context.Background() }

func TestObjects(t *testing.T) {
	topo := topology.Default()
	topo.Racks[1].ToRs[1].Password = "secret"
	topo.Racks[1].ToRs[1].DialsNodes = true
	peers := map[string]*v1alpha1.BGPPeer{}
	kinds := map[string]int{}
	for _, o := range Objects(topo) {
		switch o := o.(type) {
		case *v1alpha1.IPPool:
			kinds["pool"]++
		case *v1alpha1.BGPConfiguration:
			kinds["configuration"]++
			if o.Spec.NodeSelector.MatchLabels[RackLabel] != o.Name {
				t.Errorf("configuration %s selects %v", o.Name, o.Spec.NodeSelector)
			}
		case *v1alpha1.BGPPeer:
			peers[o.Name] = o
		case *corev1.Secret:
			kinds["secret"]++
			if o.Name != "bgp-r2-tor2" || o.StringData["password"] != "secret" || o.Namespace != "fairlead-system" {
				t.Errorf("secret %s/%s", o.Namespace, o.Name)
			}
		}
	}
	if kinds["pool"] != 2 || kinds["configuration"] != 2 || kinds["secret"] != 1 || len(peers) != 8 {
		t.Errorf("%v and %d peers", kinds, len(peers))
	}
	plain, keyed := peers["r1-tor1-ipv6"].Spec, peers["r2-tor2-ipv4"].Spec
	if plain.Address != "fd00:172:16:1::1" || plain.ASNumber != 65001 || plain.AuthSecretRef != nil || plain.Passive {
		t.Errorf("r1-tor1-ipv6: %+v", plain)
	}
	if keyed.Address != "172.16.2.2" || keyed.AuthSecretRef.Name != "bgp-r2-tor2" || !keyed.Passive || keyed.NodeSelector.MatchLabels[RackLabel] != "r2" {
		t.Errorf("r2-tor2-ipv4: %+v", keyed)
	}
}

func TestNodeObject(t *testing.T) {
	topo := topology.Default()
	topo.Racks[0].Nodes[1].Labels = map[string]string{"disk": "fast"}
	n, err := NodeObject(topo, "n2")
	if err != nil {
		t.Fatal(err)
	}
	if n.Labels[RackLabel] != "r1" || n.Labels[corev1.LabelHostname] != "n2" || n.Labels["disk"] != "fast" {
		t.Errorf("labels %v", n.Labels)
	}
	var internal []string
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			internal = append(internal, a.Address)
		}
	}
	if len(internal) != 2 || internal[0] != "172.16.1.12" || internal[1] != "fd00:172:16:1::c" {
		t.Errorf("internal addresses %v", internal)
	}
	if _, err := NodeObject(topo, "n9"); err == nil {
		t.Error("a Node was made for no node")
	}
}

func TestFindBinSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	if _, err := findBin(dir); err == nil {
		t.Error("an empty folder was accepted")
	}
	for _, name := range programs() {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(BinEnv, dir)
	if got, err := findBin(""); err != nil || got != dir {
		t.Errorf("findBin by %s: %q, %v", BinEnv, got, err)
	}
}

func TestInstanceNames(t *testing.T) {
	for _, name := range []string{"Demo", "a/b", "with-dash", "morethan12chars"} {
		if _, err := newLab(Options{Instance: name, NetworkOnly: true}); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

func TestExpectedNextHops(t *testing.T) {
	topo := topology.Default()
	for holder, want := range map[string]int{"n1": 0, "n2": 1, "n3": 2} {
		hops, err := ExpectedNextHops(topo, "n1", holder, topology.V4)
		if err != nil || len(hops) != want {
			t.Errorf("n1 to %s: %v, %v; want %d", holder, hops, err, want)
		}
	}
	if _, err := ExpectedNextHops(topo, "n1", "n9", topology.V4); err == nil {
		t.Error("a node that is not there was accepted")
	}
}
