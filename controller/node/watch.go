package node

import (
	"context"
	"fmt"
	"maps"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/plan"
)

// watch is a set of synced caches. It lives as long as the context it was
// started with.
type watch struct {
	cache  cache.Cache
	synced []toolscache.InformerSynced
	// ready is closed when all is synced, stopped when all goroutines have ended.
	ready, stopped chan struct{}
}

// startWatch watches objects and calls wake when what was asked of them
// changes, and with nil when all are synced. only limits kinds to the objects that
// concern this node.
func startWatch(ctx context.Context, cfg *rest.Config, scheme *runtime.Scheme, only map[client.Object]cache.ByObject, objects []client.Object, wake func(client.Object)) (*watch, error) {
	c, err := cache.New(patiently(cfg), cache.Options{
		Scheme:           scheme,
		Mapper:           Mapper(),
		ByObject:         only,
		DefaultTransform: cache.TransformStripManagedFields(),
	})
	if err != nil {
		return nil, fmt.Errorf("make a cache: %w", err)
	}
	w := &watch{cache: c, ready: make(chan struct{}), stopped: make(chan struct{})}
	for _, o := range objects {
		inf, err := c.GetInformer(ctx, o, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", o, err)
		}
		reg, err := inf.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { wake(o) },
			DeleteFunc: func(any) { wake(o) },
			UpdateFunc: func(was, is any) {
				if asked(was.(client.Object), is.(client.Object)) {
					wake(o)
				}
			},
		})
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", o, err)
		}
		w.synced = append(w.synced, reg.HasSynced)
	}
	var running sync.WaitGroup
	running.Go(func() {
		_ = c.Start(ctx) // ends with ctx; the reflectors retry their errors themselves
	})
	running.Go(func() {
		if toolscache.WaitForCacheSync(ctx.Done(), w.synced...) {
			close(w.ready)
			wake(nil)
		}
	})
	go func() {
		running.Wait()
		close(w.stopped)
	}()
	return w, nil
}

func (w *watch) hasSynced() bool {
	select {
	case <-w.ready:
		return true
	default:
		return false
	}
}

// asked says whether more than the status changed.
func asked(was, is client.Object) bool {
	return was.GetGeneration() != is.GetGeneration() || was.GetUID() != is.GetUID() || !maps.Equal(was.GetLabels(), is.GetLabels())
}

// ownObjects are the kinds that every agent watches, and ownOnly limits those
// of which there is one or more per node.
func ownObjects() []client.Object {
	return []client.Object{&v1alpha1.BGPNode{}, &v1alpha1.IPBlock{}, &v1alpha1.IPPool{}, &v1alpha1.AddressPlan{}, &v1alpha1.BGPPeer{}}
}

func ownOnly(node string) map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&v1alpha1.BGPNode{}: {Field: fields.OneTermEqualSelector("metadata.name", node)},
		&v1alpha1.IPBlock{}: {Field: fields.OneTermEqualSelector("spec.nodeName", node)},
	}
}

// readOwn reads what concerns this node from its caches. found is false while
// the controller has written no BGPNode for it. Ranges are nil, and not just
// empty, while there is no AddressPlan.
func (w *watch) readOwn(ctx context.Context, node string) (in plan.Intent, found bool, err error) {
	err = w.cache.Get(ctx, client.ObjectKey{Name: node}, &in.Node)
	if client.IgnoreNotFound(err) != nil {
		return in, false, err
	}
	found = err == nil

	var blocks v1alpha1.IPBlockList
	var pools v1alpha1.IPPoolList
	var plans v1alpha1.AddressPlanList
	var peers v1alpha1.BGPPeerList
	for _, l := range []client.ObjectList{&blocks, &pools, &plans, &peers} {
		if err := w.cache.List(ctx, l); err != nil {
			return in, false, err
		}
	}
	in.Blocks, in.Pools, in.Peers = blocks.Items, pools.Items, peers.Items
	for _, p := range plans.Items {
		if in.Ranges == nil {
			in.Ranges = []v1alpha1.AddressPlanEntry{}
		}
		in.Ranges = append(in.Ranges, p.Spec.Entries...)
	}
	return in, found, nil
}

func (w *watch) readMesh(ctx context.Context) ([]v1alpha1.BGPNode, []v1alpha1.IPBlock, error) {
	var nodes v1alpha1.BGPNodeList
	var blocks v1alpha1.IPBlockList
	if err := w.cache.List(ctx, &nodes); err != nil {
		return nil, nil, err
	}
	if err := w.cache.List(ctx, &blocks); err != nil {
		return nil, nil, err
	}
	return nodes.Items, blocks.Items, nil
}

// trim drops what no plan looks at, so that a status written by someone else
// makes no other Intent.
func trim(meta *metav1.ObjectMeta) {
	*meta = metav1.ObjectMeta{Name: meta.Name, UID: meta.UID, Labels: meta.Labels, CreationTimestamp: meta.CreationTimestamp}
}

// Mapper knows Fairlead's kinds without asking the API server, which may be
// down when the agent starts.
func Mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper([]schema.GroupVersion{v1alpha1.GroupVersion, corev1.SchemeGroupVersion, coordinationv1.SchemeGroupVersion})
	for _, kind := range []string{"AddressPlan", "BGPNode", "BGPPeer", "IPBlock", "IPPool", "NodeState"} {
		m.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeRoot)
	}
	m.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	m.Add(coordinationv1.SchemeGroupVersion.WithKind("Lease"), meta.RESTScopeNamespace)
	return m
}
