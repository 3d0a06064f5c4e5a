package behaviour

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/config"
	"fairlead.dev/hack/lab/topology"
)

// keysChange is about authSecretRef on r1-tor1, whose sessions have begun with
// the key of the topology: the key is in force, a change of it in the Secret or of
// the reference takes effect, and without a Secret there is no session. The other
// ToR carries the traffic meanwhile.
//
// The router's key changes only while its sessions are up: FRR 8.4 keeps the old
// one on its listener for each neighbour of a range that is gone.
func (s *scene) keysChange(t *testing.T) {
	const tor = "r1-tor1"
	first := s.Topology().Racks[0].ToRs[0].Password
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bgp-" + tor, Namespace: config.DefaultNamespace}}
	newSecret := func(keys map[string]string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secret.Name, Namespace: secret.Namespace}, StringData: keys}
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		s.remove(ctx, t, secret)
		if err := s.Client().Create(ctx, newSecret(map[string]string{"password": first})); err != nil {
			t.Error(err)
		}
	})

	s.routerKey(t, tor, "second")
	s.eventually(t, "sessions down by another key", func(ctx context.Context) error { return s.all(ctx, s.down, tor) })
	s.holds(t, peer(tor+"-ipv4"), v1alpha1.ConditionEstablished, "False", "SessionsDown", "0 of 2", "MD5 password")
	s.patch(t, secret, `{"stringData":{"password":"second"}}`)
	s.eventually(t, "sessions up by the second key", func(ctx context.Context) error { return s.all(ctx, s.up, tor) })

	s.remove(t.Context(), t, secret)
	s.eventually(t, "sessions down without the Secret", func(ctx context.Context) error { return s.all(ctx, s.down, tor) })
	address := s.hops("n1", topology.V4)[0]
	dials := s.countDials(t, "n1", address)
	began := time.Now()
	for _, f := range s.Topology().Families() {
		s.holds(t, nodeState("n1"), v1alpha1.ConditionConfigAccepted, "False", "ObjectsNotUsed",
			fmt.Sprintf("BGPPeer/%s-%s spec.authSecretRef", tor, f), `Secret "bgp-`+tor+`"`, `"password"`)
		s.holds(t, peer(fmt.Sprintf("%s-%s", tor, f)), v1alpha1.ConditionEstablished, "False", "SessionsDown", "0 of 2", "spec.authSecretRef: Secret")
	}
	s.connected(t)
	// A node without a key would dial within two seconds, as the other ToR sees.
	s.resetSessions(t, "r1-tor2")
	s.eventually(t, "sessions with the other ToR", func(ctx context.Context) error {
		return errors.Join(s.all(ctx, s.up, "r1-tor2"), passed(began, 3*time.Second))
	})
	if n, err := dials.packets(t.Context(), counterName(address)); err != nil || n != 0 {
		t.Errorf("n1 has dialled %s %d times without its key, %v", tor, n, err)
	}

	if err := s.Client().Create(t.Context(), newSecret(map[string]string{"password": "wrong", "rotated.2": "second"})); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Topology().Families() {
		s.change(t, peer(fmt.Sprintf("%s-%s", tor, f)), `{"spec":{"authSecretRef":{"key":"rotated.2"}}}`)
	}
	s.eventually(t, "sessions up by the key of another name", func(ctx context.Context) error { return s.all(ctx, s.up, tor) })
	s.holds(t, nodeState("n1"), v1alpha1.ConditionConfigAccepted, "True", "Accepted")
	s.routerKey(t, tor, first)
}

// passed is nil once a time is over.
func passed(since time.Time, d time.Duration) error {
	if left := d - time.Since(since); left > 0 {
		return fmt.Errorf("%v left", left)
	}
	return nil
}

// all is nil while check is for both families and nodes of the first rack.
func (s *scene) all(ctx context.Context, check func(context.Context, string, string, topology.Family) error, tor string) error {
	var errs []error
	for _, f := range s.Topology().Families() {
		errs = append(errs, check(ctx, tor, "n1", f), check(ctx, tor, "n2", f))
	}
	return errors.Join(errs...)
}

// routerKey sets the key that an FRR ToR of the first rack has for its nodes.
func (s *scene) routerKey(t *testing.T, tor, key string) {
	t.Helper()
	lines := []string{"configure terminal", fmt.Sprintf("router bgp %d", s.Topology().Racks[0].ToRASN)}
	for _, f := range s.Topology().Families() {
		lines = append(lines, fmt.Sprintf("neighbor nodes%d password %s", f, key))
	}
	s.vtysh(t, tor, lines...)
}
