package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/bgp"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/controller/plan"
	"fairlead.dev/controller/view"
	"fairlead.dev/dataplane"
)

// Options of an Agent.
type Options struct {
	// Name of the node.
	Name string
	// APIServer are the addresses by which the API server is reached; a learned
	// route that covers one is refused.
	APIServer []netip.Addr
	// SyncInterval is the least time between two syncs, so that a burst of
	// events costs one.
	SyncInterval time.Duration
	// ResyncInterval is the time after which a sync runs without any event, to
	// find drift. It is jittered by a tenth.
	ResyncInterval time.Duration
	// EndOfRIBTimeout is how long after the start of BGP learned routes of an
	// earlier agent are kept while a peer has not sent its End-of-RIB.
	EndOfRIBTimeout time.Duration
	// VXLAN is the overlay's, for pools with an encapsulation.
	VXLAN dataplane.VXLAN
	// Attached lists the addresses in the pods' namespaces: those of fairlead-ipam
	// are in no route of ours. nil finds none.
	Attached func() ([]store.Found, error)
	// InUse lists the addresses in these blocks that anybody on the node uses, our pods
	// among them. nil finds none.
	InUse  func([]netip.Prefix) ([]netip.Addr, error)
	Logger *slog.Logger
}

// Agent makes one node what the API wants it to be.
type Agent struct {
	opts  Options
	ports Ports

	wake chan struct{}
	view atomic.Pointer[published]
	// changed holds a value while a view is new.
	changed chan struct{}
	// unprepared says that the next sync prepares the node, whatever wakes it.
	unprepared atomic.Bool

	// What follows belongs to Run's goroutine.
	begun      bool
	bootID     string
	resync     bool // the next sync looks for drift of what tells nobody
	restarting bool // routes of an earlier agent were there when this one began
	// engine is what BGP runs as; zero while it does not run.
	engine      bgp.Global
	ribComplete bool
	deadline    time.Time // of ribComplete
	lastProblem map[string]bool
	idle        idle
	overlay     overlay
	finder      finder
	moving      moveIn
	listen      listening
}

// New returns an Agent over its ports.
func New(opts Options, ports Ports) *Agent {
	return &Agent{
		opts: opts, ports: ports,
		wake:    make(chan struct{}, 1),
		changed: make(chan struct{}, 1),
		resync:  true,
		idle:    idle{},
	}
}

// Wake asks for a sync soon. It never blocks.
func (a *Agent) Wake() { kick(a.wake) }

// Replugged asks for a sync soon that prepares the node: a link is new.
func (a *Agent) Replugged() {
	a.unprepared.Store(true)
	a.Wake()
}

// View is the newest view, nil before the first sync.
func (a *Agent) View() *view.Node {
	p := a.view.Load()
	if p == nil {
		return nil
	}
	return p.whole()
}

// Changed receives after a new view was published; several may be one.
func (a *Agent) Changed() <-chan struct{} { return a.changed }

// Ready says whether the node can serve pods: its blocks are leased, in the
// kernel and announced as far as that depends on this node alone. A peer that
// is down does not make it unready.
func (a *Agent) Ready() error {
	v := a.view.Load()
	if v == nil {
		return errors.New("no sync has finished yet")
	}
	if c := meta.FindStatusCondition(v.State.Conditions, v1alpha1.ConditionReady); c != nil && c.Status != metav1.ConditionTrue {
		return fmt.Errorf("%s: %s", c.Reason, c.Message)
	}
	return nil
}

// Run syncs until ctx ends. Kernel routes, pods and store stay as they are:
// stopping is not leaving.
func (a *Agent) Run(ctx context.Context) error {
	failures := 0
	for {
		began := time.Now()
		if err := a.sync(ctx); ctx.Err() != nil {
			return nil
		} else if err != nil {
			failures++
			if failures&(failures-1) == 0 { // ever more rarely: it is in the status too
				a.opts.Logger.Error("sync failed", "err", err, "failures", failures)
			}
		} else {
			if failures > 0 {
				a.opts.Logger.Info("sync works again", "failures", failures)
			}
			failures = 0
		}
		if !a.pause(ctx, began, failures) {
			return nil
		}
	}
}

// begin finds out, once, whether an earlier agent left routes.
func (a *Agent) begin() error {
	if a.begun {
		return nil
	}
	now, err := store.Now()
	if err != nil {
		return err
	}
	kept, err := a.ports.Routes.List()
	if err != nil {
		return fmt.Errorf("list routes of an earlier agent: %w", err)
	}
	a.begun, a.bootID, a.restarting = true, now.BootID, len(kept) > 0
	a.opts.Logger.Info("agent starts", "node", a.opts.Name, "restarting", a.restarting, "routes", len(kept))
	return nil
}

// pause waits for the next reason to sync. It returns false when ctx ends.
// After failures it is the longer, also where something asks for a sync: what
// fails may be what asks.
func (a *Agent) pause(ctx context.Context, began time.Time, failures int) bool {
	next, least := a.opts.ResyncInterval, a.opts.SyncInterval<<min(failures, 3)
	switch {
	case failures > 0:
		next = min(next, 100*time.Millisecond<<min(failures, 6))
	case !a.ribComplete && !a.deadline.IsZero():
		next = min(next, max(time.Until(a.deadline), 0)+time.Millisecond)
	}
	next = a.listen.wait(a.moving.wait(next))
	resync := time.NewTimer(next + rand.N(next/10+1))
	defer resync.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-a.wake:
	case <-resync.C:
		a.resync = true
	}
	spread := time.NewTimer(least - time.Since(began))
	defer spread.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-spread.C:
		return true
	}
}

// sync is one pass.
func (a *Agent) sync(ctx context.Context) error {
	if err := a.begin(); err != nil {
		return err
	}
	prepareErr := a.prepare()
	in, source, ok := a.ports.Intents.Current(ctx)
	if !ok {
		v := waiting(a.opts.Name)
		offerErr := a.offer(&v.Node, nil)
		a.publish(v)
		return errors.Join(prepareErr, offerErr)
	}
	// Sessions before routes: who has sent End-of-RIB by now has all its routes
	// in the RIB that is read after it.
	var heard []bgp.Session
	if !a.ribComplete {
		heard = a.ports.Speaker.Sessions()
	}
	in, adoptErr := a.adoptAttachments(in)
	moveErr := a.moveIn(in, time.Now())
	snapshot, ribErr, err := a.observe(in)
	if err != nil {
		return errors.Join(prepareErr, adoptErr, moveErr, err)
	}
	found, findErr := a.finder.find(in.Node, a.ports.Links.Candidates, time.Now())
	snapshot.Shut = a.moving.shut
	var lookErr error
	snapshot.NAT, lookErr = a.ports.Filter.Look()
	p, problems, device, overlayErr := a.compute(snapshot)
	a.logProblems(problems)
	if a.engine != p.BGP.Global || a.listen.renewed() {
		// BGP does not run, or is about to start anew: its RIB will be empty and
		// is not to be believed before its time, which does not begin yet.
		a.ribComplete, heard = false, nil
		a.deadline = time.Now().Add(a.opts.EndOfRIBTimeout)
	}
	// Before any pod can start that is to be translated, and before its block is announced.
	filterErr := a.ports.Filter.Apply(p.Filter)
	done := a.apply(ctx, p, device, a.mayPrune(p.BGP.Peers, heard) && ribErr == nil)
	done.err = errors.Join(prepareErr, adoptErr, moveErr, ribErr, lookErr, overlayErr, filterErr, findErr, done.err)
	problems = append(problems, a.listen.problem(p, a.opts.Name)...)
	v := report(a.opts.Name, source, snapshot, p, problems, done, a.ports.Speaker.Sessions())
	v.State.BootID = a.bootID
	tell(&v.State, snapshot, found)
	offerErr := a.offer(&v.Node, p.Awaited)
	a.publish(v)
	return errors.Join(done.err, done.peerErr, offerErr)
}

// prepare sees to what the kernel does not tell the changes of: at a resync, and
// when a link is new.
func (a *Agent) prepare() error {
	if a.unprepared.Swap(false) {
		a.resync = true
	}
	if !a.resync {
		return nil
	}
	if err := a.ports.Links.Prepare(); err != nil {
		return fmt.Errorf("prepare the node: %w", err)
	}
	a.resync = false
	return nil
}

func (a *Agent) publish(v published) {
	v.whole = sync.OnceValue(func() *view.Node {
		whole := v.Node
		whole.Routes = v.routes()
		return &whole
	})
	a.view.Store(&v)
	kick(a.changed)
}

// kick leaves a value in a channel that has room for one.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// logProblems says each problem once, and once more when it is over.
func (a *Agent) logProblems(problems []plan.Problem) {
	now := map[string]bool{}
	for _, p := range problems {
		now[p.String()] = true
		if !a.lastProblem[p.String()] {
			a.opts.Logger.Warn("object not used", "object", p.Object, "field", p.Field, "err", p.Message)
		}
	}
	for p := range a.lastProblem {
		if !now[p] {
			a.opts.Logger.Info("problem is over", "object", p)
		}
	}
	a.lastProblem = now
}
