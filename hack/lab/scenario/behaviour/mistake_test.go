package behaviour

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab/topology"
)

// mistakes are all made at once. Each is said where it was made, by object and
// field, and everything else works on.
func (s *scene) mistakes(t *testing.T) {
	overlap := newPool("overlap", "10.244.128.0/17", 26)
	overlap.Spec.NodeSelector = nil
	tiny := newPool("tiny", "10.98.0.0/28", 28, "n1", "n2")
	nobody := newPeer("nobody", "172.16.1.250", 65001, "n1")
	rival := newPeer("rival", "172.16.1.1", 65001, "n1", "n2")
	keyless := newPeer("keyless", "172.16.1.249", 65001, "n1")
	keyless.Spec.AuthSecretRef = &v1alpha1.SecretKeyRef{Name: "nowhere", Key: "md5"}
	self := newPeer("self", "172.16.1.11", 65101, "n1")
	stranger := newPeer("stranger", "172.16.1.248", 65001, "n9")
	s.create(t, overlap)
	s.create(t, tiny)
	for _, p := range []*v1alpha1.BGPPeer{nobody, rival, keyless, self, stranger} {
		s.create(t, p)
	}
	wrong := peer("r1-tor2-ipv4")
	s.change(t, wrong, `{"spec":{"asNumber":65999}}`)
	s.blockLargerThanPool(t)

	s.holds(t, overlap, v1alpha1.ConditionReady, "False", "Overlap", "spec.cidr 10.244.128.0/17", "10.244.0.0/16 of IPPool/pods-v4", "delete")
	s.holds(t, overlap, v1alpha1.ConditionOverlap, "True", "Overlap", "IPPool/pods-v4")
	s.holds(t, tiny, v1alpha1.ConditionExhausted, "True", "NoFreeBlock", "spec.cidr 10.98.0.0/28", "n", "Create another IPPool")
	s.holds(t, tiny, v1alpha1.ConditionReady, "True", "Active")
	s.holds(t, wrong, v1alpha1.ConditionEstablished, "False", "SessionsDown", "0 of 2", "spec.asNumber 65999", "node n1", "expected 65999, received 65001")
	s.holds(t, nobody, v1alpha1.ConditionEstablished, "False", "SessionsDown", "0 of 1", "spec.address 172.16.1.250", "node n1", "cannot connect to 172.16.1.250:179")
	s.holds(t, rival, v1alpha1.ConditionReady, "False", "DuplicateAddress", "spec.address 172.16.1.1", "BGPPeer/r1-tor1-ipv4", "node n1")
	s.holds(t, keyless, v1alpha1.ConditionEstablished, "False", "SessionsDown", "node n1: spec.authSecretRef: Secret")
	s.holds(t, stranger, v1alpha1.ConditionEstablished, "False", "NoNodeSelected", "spec.nodeSelector")
	s.holds(t, nodeState("n1"), v1alpha1.ConditionConfigAccepted, "False", "ObjectsNotUsed",
		`BGPPeer/keyless spec.authSecretRef: Secret "nowhere" has no key "md5"`, "BGPPeer/rival spec.address: 172.16.1.1 is already the address of BGPPeer/r1-tor1-ipv4",
		"BGPPeer/self spec.address: 172.16.1.11 is this node's own address")
	s.holds(t, nodeState("n1"), v1alpha1.ConditionSessionsEstablished, "False", "SessionsDown", "nobody (172.16.1.250)", "r1-tor2-ipv4 (172.16.1.2)")
	s.holds(t, nodeState("n1"), v1alpha1.ConditionReady, "True", "Synced")
	s.holds(t, nodeState("n3"), v1alpha1.ConditionConfigAccepted, "True", "Accepted")
	s.holds(t, nodeState("n3"), v1alpha1.ConditionSessionsEstablished, "True", "AllEstablished")

	s.eventually(t, "wrong session down", func(ctx context.Context) error {
		return errors.Join(s.down(ctx, "r1-tor2", "n1", topology.V4), s.down(ctx, "r1-tor2", "n2", topology.V4))
	})
	for _, node := range []string{"n1", "n2"} {
		for _, err := range []error{
			s.up(t.Context(), "r1-tor1", node, topology.V4), s.up(t.Context(), "r1-tor1", node, topology.V6), s.up(t.Context(), "r1-tor2", node, topology.V6),
			s.ready(t.Context(), node, 200, "ok"),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	}
	if of, err := s.blocks(t.Context(), overlap.Name); err != nil || len(of) != 0 {
		t.Errorf("the overlapping pool has leased %v, %v", of, err)
	}
	of, err := s.blocks(t.Context(), tiny.Name)
	if err != nil || len(of) != 1 {
		t.Fatalf("the tiny pool has leased %v, %v, want its one block", of, err)
	}
	for _, b := range of {
		cidr := netip.MustParsePrefix(b.Spec.CIDR)
		s.eventually(t, "the tiny pool's block in the other rack", func(ctx context.Context) error { return s.has(ctx, "r2-tor2", cidr) })
	}
	s.connected(t)
}

// blockLargerThanPool is refused by the API server.
func (s *scene) blockLargerThanPool(t *testing.T) {
	t.Helper()
	err := s.Client().Create(t.Context(), newPool("vast", "10.97.0.0/28", 26, "n1"))
	if !apierrors.IsInvalid(err) {
		t.Fatalf("a block larger than its pool: %v, want it refused", err)
	}
	s.says(t, "the API server", err.Error(), `"vast"`, "spec.blockSize", "must not be larger than the pool", "10.97.0.0/28")
}

// unknownSettings end each program with what is wrong, and where.
func (s *scene) unknownSettings(t *testing.T) {
	bin := filepath.Dir(s.FairleadCommand()[0])
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte("logLevl: debug\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"fairlead-agent", "fairlead-controller"} {
		_, err := s.Exec(t.Context(), topology.RoleControlPlane, filepath.Join(bin, program), "--config", file)
		if err == nil {
			t.Errorf("%s has ended well", program)
			continue
		}
		s.says(t, program, err.Error(), "exit status 1", file, `unknown key "logLevl"`, `nearest is "logLevel"`)
		if strings.Contains(err.Error(), "panic") {
			t.Errorf("%s: %v", program, err)
		}
	}
	s.connected(t)
}

// has is nil while a router has a prefix.
func (s *scene) has(ctx context.Context, router string, p netip.Prefix) error {
	got, err := s.announced(ctx, router, p)
	if err == nil && len(got) != 1 {
		err = fmt.Errorf("RIB of %s has %v, want %s", router, got, p)
	}
	return err
}
