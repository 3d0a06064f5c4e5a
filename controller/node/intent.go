package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/plan"
)

const (
	// confirmInterval is how often the API server is asked whether it still is
	// there, to date the remembered configuration.
	confirmInterval = time.Minute
	// saveInterval is the least time between two writes of it: in a mesh, each
	// block that is leased anywhere is a change.
	saveInterval   = 5 * time.Second
	requestTimeout = 5 * time.Second
)

// API is the IntentSource of a running cluster. While its caches are not
// synced it gives what was remembered.
type API struct {
	// KeyInterval is how often Secrets are read again, 10 s unless set before
	// Run. They are read by name and not watched, so that the agent needs no
	// right to list them.
	KeyInterval time.Duration

	cfg       *rest.Config
	scheme    *runtime.Scheme
	client    client.Client
	node      string
	namespace string
	memory    *Memory
	wake      func()
	log       *slog.Logger

	kickKeys chan struct{}
	kickSave chan struct{}

	// What follows belongs to Run's goroutine: what was said in the log already.
	unconfirmed bool
	unread      map[string]bool // Secrets

	mu       sync.Mutex
	own      *watch
	mesh     *watch
	stopMesh context.CancelFunc
	keys     map[string]string
	keysRead bool
	last     plan.Intent
	source   Source // "" while there is no last
}

// NewAPI returns the source for a node. Secrets are read in namespace.
func NewAPI(cfg *rest.Config, scheme *runtime.Scheme, c client.Client, node, namespace string, memory *Memory, wake func(), log *slog.Logger) *API {
	a := &API{
		KeyInterval: 10 * time.Second,
		cfg:         cfg, scheme: scheme, client: c, node: node, namespace: namespace, memory: memory, wake: wake, log: log,
		kickKeys: make(chan struct{}, 1), kickSave: make(chan struct{}, 1), keys: map[string]string{}, unread: map[string]bool{},
	}
	in, err := memory.Load(time.Now())
	switch {
	case err == nil:
		a.last, a.source = in, FromMemory
		a.keys = maps.Clone(in.Keys)
		log.Info("configuration remembered from an earlier run", "blocks", len(in.Blocks), "peers", len(in.Peers))
	case !errors.Is(err, ErrNothingRemembered):
		log.Warn("remembered configuration not used", "err", err)
	}
	return a
}

// Run watches until ctx ends.
func (a *API) Run(ctx context.Context) error {
	own, err := startWatch(ctx, a.cfg, a.scheme, ownOnly(a.node), ownObjects(), func(o client.Object) {
		switch o.(type) {
		case *v1alpha1.BGPPeer, *v1alpha1.BGPNode: // its labels select the peers
			kick(a.kickKeys)
		}
		a.wake()
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.own = own
	a.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-own.ready:
		a.log.Info("caches synced")
		a.serve(ctx, a.readKeys(ctx))
	}
	<-own.stopped
	a.mu.Lock()
	mesh := a.mesh
	a.mu.Unlock()
	if mesh != nil {
		<-mesh.stopped
	}
	return nil
}

func (a *API) serve(ctx context.Context, complete bool) {
	misses := 0
	next := func(complete bool) time.Duration {
		misses++
		if complete {
			misses = 0
		}
		return a.keyPause(misses)
	}
	keys := time.NewTimer(next(complete))
	defer keys.Stop()
	confirm := time.NewTicker(confirmInterval)
	defer confirm.Stop()
	var saved time.Time
	var save <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-keys.C:
			keys.Reset(next(a.readKeys(ctx)))
		case <-a.kickKeys:
			misses = 0
			keys.Reset(next(a.readKeys(ctx)))
		case <-confirm.C:
			a.save(ctx)
		case <-a.kickSave:
			if save == nil {
				save = time.After(saveInterval - time.Since(saved))
			}
		case <-save:
			a.save(ctx)
			save, saved = nil, time.Now()
		}
	}
}

// keyPause is short when a Secret has begun to be missing, since someone is about
// to create it, and grows to the usual one. It is jittered: what is missing here
// is missing on every node.
func (a *API) keyPause(misses int) time.Duration {
	pause := a.KeyInterval
	if misses > 0 {
		pause = min(pause, a.KeyInterval/10<<min(misses/4, 4))
	}
	return pause + rand.N(pause/4+1)
}

// Current implements IntentSource.
func (a *API) Current(ctx context.Context) (plan.Intent, Source, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in, ok, err := a.read(ctx)
	switch {
	case err != nil:
		a.log.Error("read caches failed", "err", err)
	case ok:
		if a.source != FromAPI || !reflect.DeepEqual(in, a.last) {
			a.last, a.source = in, FromAPI
			kick(a.kickSave)
		}
	}
	return a.last, a.source, a.source != ""
}

// read returns ok only for a complete Intent: every cache synced, keys read,
// the mesh known if the node is in it. An incomplete one would end sessions.
func (a *API) read(ctx context.Context) (plan.Intent, bool, error) {
	if a.own == nil || !a.own.hasSynced() || !a.keysRead {
		return plan.Intent{}, false, nil
	}
	in, found, err := a.own.readOwn(ctx, a.node)
	if err != nil {
		return in, false, err
	}
	if !found {
		if a.source == "" {
			return in, false, nil
		}
		// The Node is gone. Its routing facts hold until it is back or its
		// blocks, which are read from the API still, are taken away.
		in.Node = a.last.Node
	}
	if in.Ranges == nil {
		// There is no AddressPlan: the controller will write it again. Without
		// ranges no route would be accepted from any peer.
		in.Ranges = slices.Clone(a.last.Ranges)
	}
	if err := a.followMesh(ctx, in.Node.Spec.Mesh || plan.Encapsulated(in.Pools)); err != nil {
		return in, false, err
	}
	if a.mesh != nil {
		if !a.mesh.hasSynced() {
			return in, false, nil
		}
		if in.Mesh, in.MeshBlocks, err = a.mesh.readMesh(ctx); err != nil {
			return in, false, err
		}
	}
	in.Keys = maps.Clone(a.keys)
	normalise(&in)
	return in, true, nil
}

// followMesh watches all BGPNodes and IPBlocks exactly while the node is in the
// mesh or a pool has an encapsulation.
func (a *API) followMesh(ctx context.Context, mesh bool) error {
	switch {
	case mesh && a.mesh == nil:
		ctx, stop := context.WithCancel(ctx)
		w, err := startWatch(ctx, a.cfg, a.scheme, nil, []client.Object{&v1alpha1.BGPNode{}, &v1alpha1.IPBlock{}}, func(client.Object) { a.wake() })
		if err != nil {
			stop()
			return fmt.Errorf("watch the mesh: %w", err)
		}
		a.mesh, a.stopMesh = w, stop
	case !mesh && a.mesh != nil:
		a.stopMesh()
		a.mesh = nil
	}
	return nil
}

// normalise sorts and trims, so that equal Intents are equal byte for byte.
func normalise(in *plan.Intent) {
	trim(&in.Node.ObjectMeta)
	for i := range in.Pools {
		trim(&in.Pools[i].ObjectMeta)
		in.Pools[i].Status = v1alpha1.IPPoolStatus{}
	}
	for i := range in.Peers {
		trim(&in.Peers[i].ObjectMeta)
		in.Peers[i].Status = v1alpha1.BGPPeerStatus{}
	}
	for i := range in.Blocks {
		trim(&in.Blocks[i].ObjectMeta)
	}
	for i := range in.Mesh {
		trim(&in.Mesh[i].ObjectMeta)
	}
	for i := range in.MeshBlocks {
		trim(&in.MeshBlocks[i].ObjectMeta)
	}
	slices.SortFunc(in.Pools, func(a, b v1alpha1.IPPool) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(in.Peers, func(a, b v1alpha1.BGPPeer) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(in.Blocks, func(a, b v1alpha1.IPBlock) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(in.Mesh, func(a, b v1alpha1.BGPNode) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(in.MeshBlocks, func(a, b v1alpha1.IPBlock) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(in.Ranges, func(a, b v1alpha1.AddressPlanEntry) int { return cmp.Compare(a.CIDR, b.CIDR) })
}

// save remembers the Intent if the API server, asked now, confirms that it is there.
func (a *API) save(ctx context.Context) {
	a.mu.Lock()
	in, source := a.last, a.source
	a.mu.Unlock()
	if source != FromAPI {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var n v1alpha1.BGPNode
	if err := a.client.Get(ctx, client.ObjectKey{Name: a.node}, &n); err != nil {
		if !a.unconfirmed {
			a.log.Warn("API server did not confirm the configuration, it is asked again each minute", "err", err)
		}
		a.unconfirmed = true
		return
	}
	a.unconfirmed = false
	if err := a.memory.Save(in, time.Now()); err != nil {
		a.log.Error("configuration not remembered: a start while the API server is down will use an older one", "err", err)
	}
}
