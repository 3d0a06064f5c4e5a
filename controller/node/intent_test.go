package node_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/node"
	"fairlead.dev/controller/plan"
	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/kube/kubetest"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

const (
	namespace = "fairlead-system"
	patience  = 20 * time.Second
)

// world is an API server with one node's objects, seen as admin and as agent.
type world struct {
	plane *kube.ControlPlane
	admin client.Client
	agent client.Client
	cfg   *rest.Config
	name  string
	wake  chan struct{}
	mem   func() *node.Memory
	// keys is the source's KeyInterval.
	keys time.Duration
}

func newWorld(t *testing.T, name string) *world {
	t.Helper()
	w := &world{plane: kubetest.Shared(t), name: name, wake: make(chan struct{}, 1), keys: 200 * time.Millisecond}
	w.admin = newClient(t, w.plane.AdminConfig())
	w.create(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
	token, err := w.plane.TokenFor(t.Context(), namespace, "fairlead-agent", name)
	if err != nil {
		t.Fatal(err)
	}
	w.cfg = w.plane.TokenConfig(token)
	w.agent = newClient(t, w.cfg)
	dir := t.TempDir()
	w.mem = func() *node.Memory {
		return node.NewMemory(dir, node.Identity{Node: name}, "boot", time.Minute)
	}
	return w
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func newClient(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(cfg, client.Options{Scheme: newScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// create makes an object that goes with the test.
func (w *world) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := w.admin.Create(t.Context(), o); err != nil {
		t.Fatalf("create %T %s: %v", o, o.GetName(), err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(w.admin.Delete(context.Background(), o)); err != nil {
			t.Errorf("delete %T %s: %v", o, o.GetName(), err)
		}
	})
}

// start runs a source until the returned function is called.
func (w *world) start(t *testing.T) (*node.API, func()) {
	t.Helper()
	wake := func() {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	a := node.NewAPI(w.cfg, newScheme(t), w.agent, w.name, namespace, w.mem(), wake, slog.New(slog.NewTextHandler(t.Output(), nil)))
	a.KeyInterval = w.keys
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop := func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	return a, stop
}

// until waits for an Intent that satisfies ok. It looks again when woken, as
// the agent does: a change that wakes nobody would only be seen by a resync.
func (w *world) until(t *testing.T, a *node.API, what string, ok func(plan.Intent, node.Source) bool) plan.Intent {
	t.Helper()
	deadline := time.After(patience)
	for {
		in, source, has := a.Current(t.Context())
		if has && ok(in, source) {
			return in
		}
		select {
		case <-w.wake:
		case <-deadline:
			t.Fatalf("not within %s: %s; last from %q: %+v", patience, what, source, in)
		}
	}
}

func (w *world) bgpNode(name string, mesh bool) *v1alpha1.BGPNode {
	return &v1alpha1.BGPNode{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"rack": "r1"}},
		Spec:       v1alpha1.BGPNodeSpec{NodeUID: "u", ASNumber: 65101, RouterID: "10.1.0.11", ListenPort: 179, GracefulRestartSeconds: 120, Mesh: mesh},
	}
}

func block(cidr, node string) *v1alpha1.IPBlock {
	b := &v1alpha1.IPBlock{Spec: v1alpha1.IPBlockSpec{CIDR: cidr, PoolName: "p", PoolUID: "p", NodeName: node, NodeUID: "u", State: v1alpha1.BlockLeased}}
	b.Name = map[string]string{"10.244.0.0/26": "10.244.0.0-26", "10.244.0.64/26": "10.244.0.64-26"}[cidr]
	return b
}

func peer(name string, ref *v1alpha1.SecretKeyRef, labels map[string]string) *v1alpha1.BGPPeer {
	return &v1alpha1.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.BGPPeerSpec{Address: "192.0.2.1", ASNumber: 65001, AuthSecretRef: ref, NodeSelector: &metav1.LabelSelector{MatchLabels: labels}},
	}
}

func fromAPI(_ plan.Intent, s node.Source) bool { return s == node.FromAPI }

// The agent sees its own objects only, with the rights that it is installed with.
func TestOwnObjectsOnly(t *testing.T) {
	w := newWorld(t, "own1")
	a, stop := w.start(t)
	defer stop()
	if _, _, ok := a.Current(t.Context()); ok {
		t.Fatal("an Intent without a BGPNode")
	}
	w.create(t, w.bgpNode("own1", false))
	w.create(t, w.bgpNode("own2", false))
	w.create(t, block("10.244.0.0/26", "own1"))
	w.create(t, block("10.244.0.64/26", "own2"))
	in := w.until(t, a, "own block", func(in plan.Intent, _ node.Source) bool { return len(in.Blocks) > 0 })
	if len(in.Blocks) != 1 || in.Blocks[0].Spec.NodeName != "own1" || len(in.Mesh) != 0 || in.Node.Labels["rack"] != "r1" {
		t.Errorf("intent: %+v", in)
	}
}

func TestMeshIsWatchedWhileInIt(t *testing.T) {
	w := newWorld(t, "mesh1")
	self := w.bgpNode("mesh1", true)
	w.create(t, self)
	w.create(t, w.bgpNode("mesh2", true))
	w.create(t, block("10.244.0.64/26", "mesh2"))
	a, stop := w.start(t)
	defer stop()
	in := w.until(t, a, "mesh", fromAPI)
	if len(in.Mesh) < 2 || len(in.MeshBlocks) != 1 {
		t.Fatalf("first Intent from the API lacks the mesh: %+v", in)
	}
	self.Spec.Mesh = false
	if err := w.admin.Update(t.Context(), self); err != nil {
		t.Fatal(err)
	}
	w.until(t, a, "no mesh", func(in plan.Intent, _ node.Source) bool { return len(in.Mesh) == 0 && !in.Node.Spec.Mesh })
}

// A Secret that comes late, changes or goes is followed; another node's is not read.
func TestKeys(t *testing.T) {
	w := newWorld(t, "keys1")
	w.create(t, w.bgpNode("keys1", false))
	ref := &v1alpha1.SecretKeyRef{Name: "tor-key", Key: "password"}
	w.create(t, peer("keys-ours", ref, map[string]string{"rack": "r1"}))
	w.create(t, peer("keys-theirs", &v1alpha1.SecretKeyRef{Name: "other", Key: "password"}, map[string]string{"rack": "r2"}))
	secret := func(name, value string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Data: map[string][]byte{"password": []byte(value)}}
	}
	w.create(t, secret("other", "not-ours"))
	a, stop := w.start(t)
	defer stop()
	in := w.until(t, a, "first", fromAPI)
	if len(in.Keys) != 0 {
		t.Errorf("keys before the Secret: %v", in.Keys)
	}
	s := secret("tor-key", "one")
	w.create(t, s)
	w.until(t, a, "key", func(in plan.Intent, _ node.Source) bool {
		return in.Keys["tor-key/password"] == "one" && len(in.Keys) == 1
	})
	s.Data["password"] = []byte("two")
	if err := w.admin.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.until(t, a, "new key", func(in plan.Intent, _ node.Source) bool { return in.Keys["tor-key/password"] == "two" })
	if err := w.admin.Delete(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.until(t, a, "no key", func(in plan.Intent, _ node.Source) bool { return len(in.Keys) == 0 })
}

// A node whose BGPNode comes after its agent reads its keys at once: which peers
// are its own is known only then.
func TestKeysOfANewNode(t *testing.T) {
	w := newWorld(t, "keys2")
	w.keys = time.Hour
	w.create(t, peer("keys-new", &v1alpha1.SecretKeyRef{Name: "new-key", Key: "password"}, map[string]string{"rack": "r1"}))
	w.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "new-key", Namespace: namespace}, Data: map[string][]byte{"password": []byte("one")}})
	before := w.bgpNode("keys2", false)
	before.Labels = nil
	w.create(t, before)
	a, stop := w.start(t)
	defer stop()
	w.until(t, a, "first", fromAPI)
	before.Labels = map[string]string{"rack": "r1"}
	if err := w.admin.Update(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	w.until(t, a, "key", func(in plan.Intent, _ node.Source) bool { return in.Keys["new-key/password"] == "one" })
}

// With the API server down an agent starts from what the last one remembered,
// keys included, and goes over to the API when that is back.
func TestStartWithoutAPIServer(t *testing.T) {
	w := newWorld(t, "down1")
	self := w.bgpNode("down1", false)
	w.create(t, self)
	w.create(t, block("10.244.0.0/26", "down1"))
	w.create(t, peer("down-tor", &v1alpha1.SecretKeyRef{Name: "down-key", Key: "password"}, nil))
	w.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "down-key", Namespace: namespace}, Data: map[string][]byte{"password": []byte("s3cret")}})
	a, stop := w.start(t)
	want := w.until(t, a, "first", func(in plan.Intent, s node.Source) bool { return len(in.Blocks) == 1 && len(in.Keys) == 1 })
	deadline := time.Now().Add(patience)
	for {
		in, err := w.mem().Load(time.Now())
		if err == nil && len(in.Blocks) == 1 && len(in.Keys) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not remembered: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()

	if err := w.plane.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	a, stop = w.start(t)
	defer stop()
	in, source, ok := a.Current(t.Context())
	if !ok || source != node.FromMemory || in.Blocks[0].Name != want.Blocks[0].Name || in.Keys["down-key/password"] != "s3cret" {
		t.Fatalf("without the API server: %v from %q: %+v", ok, source, in)
	}
	if err := w.plane.StartAPIServer(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.until(t, a, "the API again", fromAPI)
}

// A BGPNode that is gone deletes nothing; the blocks still follow the API.
func TestNodeGone(t *testing.T) {
	w := newWorld(t, "gone1")
	self := w.bgpNode("gone1", false)
	w.create(t, self)
	b := block("10.244.0.0/26", "gone1")
	w.create(t, b)
	a, stop := w.start(t)
	defer stop()
	w.until(t, a, "first", func(in plan.Intent, _ node.Source) bool { return len(in.Blocks) == 1 })
	if err := w.admin.Delete(t.Context(), self); err != nil {
		t.Fatal(err)
	}
	if err := w.admin.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	in := w.until(t, a, "no block", func(in plan.Intent, _ node.Source) bool { return len(in.Blocks) == 0 })
	if in.Node.Spec.ASNumber != 65101 {
		t.Errorf("the node's facts went with its BGPNode: %+v", in.Node)
	}
}

// Without an AddressPlan the ranges known last hold: without any, no route would
// be accepted from any peer.
func TestAddressPlanGone(t *testing.T) {
	w := newWorld(t, "plan1")
	w.create(t, w.bgpNode("plan1", false))
	p := &v1alpha1.AddressPlan{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.AddressPlanName},
		Spec:       v1alpha1.AddressPlanSpec{Entries: []v1alpha1.AddressPlanEntry{{CIDR: "10.244.0.0/16", BlockSize: 26, PoolName: "p", PoolUID: "p"}}},
	}
	w.create(t, p)
	a, stop := w.start(t)
	defer stop()
	w.until(t, a, "first", func(in plan.Intent, s node.Source) bool { return fromAPI(in, s) && len(in.Ranges) == 1 })
	if err := w.admin.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	b := block("10.244.0.0/26", "plan1") // seen after the deletion, or before it is looked for
	w.create(t, b)
	in := w.until(t, a, "block", func(in plan.Intent, _ node.Source) bool { return len(in.Blocks) == 1 })
	deadline := time.Now().Add(time.Second)
	for time.Now().Before(deadline) && len(in.Ranges) == 1 {
		in, _, _ = a.Current(t.Context())
		time.Sleep(20 * time.Millisecond)
	}
	if len(in.Ranges) != 1 {
		t.Errorf("the ranges went with the AddressPlan: %+v", in.Ranges)
	}
	// One that is there and empty is meant.
	p.ResourceVersion, p.UID, p.Spec.Entries = "", "", nil
	if err := w.admin.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	w.until(t, a, "no range", func(in plan.Intent, _ node.Source) bool { return len(in.Ranges) == 0 })
}
