package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/config/rbac"
	"fairlead.dev/hack/lab/kube/kubetest"
)

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard()) // the global one, of which client-go's watches make use
	kubetest.Main(m)
}

// patience bounds every wait, for a machine that is busy with other tests.
const patience = 90 * time.Second

// env is a test's view of the API server, as administrator.
type env struct {
	*testing.T
	client.Client
	identity *rest.Config // of the controller
}

// newEnv returns the shared API server without any object of ours.
func newEnv(t *testing.T) env {
	t.Helper()
	plane := kubetest.Shared(t)
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme), coordinationv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(plane.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	token, err := plane.TokenFor(t.Context(), rbac.Namespace, rbac.ControllerServiceAccount, "")
	if err != nil {
		t.Fatal(err)
	}
	e := env{t, c, plane.TokenConfig(token)}
	for _, o := range []client.Object{
		&corev1.Node{}, &v1alpha1.IPPool{}, &v1alpha1.BGPPeer{}, &v1alpha1.BGPConfiguration{},
		&v1alpha1.IPBlock{}, &v1alpha1.AddressPlan{}, &v1alpha1.BGPNode{}, &v1alpha1.NodeState{},
	} {
		e.ok(c.DeleteAllOf(t.Context(), o))
	}
	e.ok(c.DeleteAllOf(t.Context(), &coordinationv1.Lease{}, client.InNamespace(rbac.Namespace)))
	return e
}

func (e env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// quick are settings with which a test need not wait for minutes.
func quick() Options {
	return Options{Namespace: rbac.Namespace, NodeGracePeriod: time.Second, CoolingPeriod: time.Second}
}

// start runs a controller with its real identity until stop, or the test's end.
func (e env) start(opts Options) (stop func()) {
	e.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	log := slog.New(slog.NewTextHandler(e.Output(), nil))
	go func() { done <- Run(ctx, rest.CopyConfig(e.identity), opts, log) }()
	var stopped bool
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			e.Errorf("controller: %v", err)
		}
	}
	e.Cleanup(stop)
	return stop
}

// eventually polls until check says "", and fails with what it said last.
func (e env) eventually(what string, check func() string) {
	e.Helper()
	deadline := time.Now().Add(patience)
	for {
		said := check()
		if said == "" {
			return
		}
		if time.Now().After(deadline) {
			e.Fatalf("%s: %s", what, said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (e env) create(objects ...client.Object) {
	e.Helper()
	for _, o := range objects {
		status := statusOf(o)
		e.ok(e.Create(e.Context(), o))
		if status != nil {
			status()
			e.ok(e.Status().Update(e.Context(), o))
		}
	}
}

// statusOf keeps a Node's status, which creation drops.
func statusOf(o client.Object) func() {
	node, is := o.(*corev1.Node)
	if !is {
		return nil
	}
	kept := *node.Status.DeepCopy()
	return func() { node.Status = kept }
}

// edit changes an object, again after each conflict.
func edit[T client.Object](e env, o T, change func(T)) {
	e.Helper()
	e.eventually("edit "+o.GetName(), func() string {
		e.ok(e.Get(e.Context(), client.ObjectKeyFromObject(o), o))
		change(o)
		err := e.Update(e.Context(), o)
		if apierrors.IsConflict(err) {
			return err.Error()
		}
		e.ok(err)
		return ""
	})
}

// reports plays the agent: it writes its node's status.
func (e env) reports(node string, status v1alpha1.NodeStateStatus) {
	e.Helper()
	s := &v1alpha1.NodeState{ObjectMeta: metav1.ObjectMeta{Name: node}}
	if err := e.Create(e.Context(), s); !apierrors.IsAlreadyExists(err) {
		e.ok(err)
	}
	e.ok(e.Get(e.Context(), client.ObjectKeyFromObject(s), s))
	s.Status = status
	e.ok(e.Status().Update(e.Context(), s))
}

func (e env) blocks() []v1alpha1.IPBlock {
	e.Helper()
	var l v1alpha1.IPBlockList
	e.ok(e.List(e.Context(), &l))
	return l.Items
}

// blocksOf returns a node's blocks of a pool.
func (e env) blocksOf(node, pool string) []v1alpha1.IPBlock {
	e.Helper()
	return slices.DeleteFunc(e.blocks(), func(b v1alpha1.IPBlock) bool {
		return b.Spec.NodeName != node || b.Spec.PoolName != pool
	})
}

// leased waits until the node has a Leased block of the pool.
func (e env) leased(node, pool string) v1alpha1.IPBlock {
	e.Helper()
	var out v1alpha1.IPBlock
	e.eventually("a block of "+pool+" for "+node, func() string {
		for _, b := range e.blocksOf(node, pool) {
			if b.Spec.State == v1alpha1.BlockLeased {
				out = b
				return ""
			}
		}
		return fmt.Sprint("blocks: ", summary(e.blocks()))
	})
	return out
}

// becomes waits for a block's state; "" is deleted.
func (e env) becomes(block v1alpha1.IPBlock, state v1alpha1.BlockState) v1alpha1.IPBlock {
	e.Helper()
	now := v1alpha1.IPBlock{}
	e.eventually(fmt.Sprintf("block %s becomes %q", block.Spec.CIDR, state), func() string {
		err := e.Get(e.Context(), client.ObjectKeyFromObject(&block), &now)
		if apierrors.IsNotFound(err) || err == nil && now.UID != block.UID {
			if state == "" {
				return ""
			}
			e.Fatalf("block %s is gone before it was %s", block.Spec.CIDR, state)
		}
		e.ok(err)
		if now.Spec.State == state {
			return ""
		}
		return "is " + string(now.Spec.State)
	})
	return now
}

// has waits for a condition of an object, by status and reason, and returns its message.
func has[T client.Object](e env, o T, conditions func(T) []metav1.Condition, kind string, status metav1.ConditionStatus, reason string) string {
	e.Helper()
	var message string
	e.eventually(fmt.Sprintf("%T %s has %s=%s %s", o, o.GetName(), kind, status, reason), func() string {
		e.ok(e.Get(e.Context(), client.ObjectKeyFromObject(o), o))
		c := meta.FindStatusCondition(conditions(o), kind)
		if c == nil || c.Status != status || c.Reason != reason || c.ObservedGeneration != o.GetGeneration() {
			return fmt.Sprintf("%+v", conditions(o))
		}
		message = c.Message
		return ""
	})
	return message
}

// told waits for an Event on the node that says all the texts.
func (e env) told(node, reason string, texts ...string) {
	e.Helper()
	e.eventually("Event "+reason+" on "+node, func() string {
		var l corev1.EventList
		e.ok(e.List(e.Context(), &l))
		for _, ev := range l.Items {
			if ev.InvolvedObject.Name == node && ev.Reason == reason &&
				!slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(ev.Message, text) }) {
				return ""
			}
		}
		return fmt.Sprint(len(l.Items), " other events")
	})
}

func ofPool(p *v1alpha1.IPPool) []metav1.Condition             { return p.Status.Conditions }
func ofPeer(p *v1alpha1.BGPPeer) []metav1.Condition            { return p.Status.Conditions }
func ofConfig(c *v1alpha1.BGPConfiguration) []metav1.Condition { return c.Status.Conditions }

// summary is a line for each block.
func summary(blocks []v1alpha1.IPBlock) (out []string) {
	for _, b := range blocks {
		out = append(out, fmt.Sprintf("%s %s %s/%s", b.Spec.CIDR, b.Spec.State, b.Spec.PoolName, b.Spec.NodeName))
	}
	slices.Sort(out)
	return out
}

// disjoint fails if any two blocks share an address.
func (e env) disjoint(blocks []v1alpha1.IPBlock) {
	e.Helper()
	var all []netip.Prefix
	for _, b := range blocks {
		all = append(all, netip.MustParsePrefix(b.Spec.CIDR))
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	for i := 1; i < len(all); i++ { // sorted: who overlaps any overlaps a neighbour
		if all[i-1].Overlaps(all[i]) {
			e.Fatalf("blocks %s and %s overlap", all[i-1], all[i])
		}
	}
}
