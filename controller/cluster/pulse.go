package cluster

import (
	"maps"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"fairlead.dev/api/v1alpha1"
)

// defaultPulse is how long an agent may be silent that has no Lease, or one that
// does not say: that of a kubelet's Lease.
const defaultPulse = 40 * time.Second

// pulse is what this controller has seen of one agent's Lease. The Lease's own
// time is another machine's clock: only that it changes tells something.
type pulse struct {
	renewTime time.Time
	// at is when it was first seen, by our clock.
	at    time.Time
	holds time.Duration
	// beats says that it was renewed since this controller started.
	beats bool
}

// silent says whether it has not been renewed for as long as it holds.
func (p pulse) silent(now time.Time) bool { return now.Sub(p.at) >= p.holds }

// pulses are the agents', by Lease. The watch writes them, the reach pass reads.
type pulses struct {
	mu sync.Mutex
	of map[string]pulse
}

func newPulses() *pulses { return &pulses{of: map[string]pulse{}} }

// note takes in a Lease as it is now. fresh says that it was renewed just now also
// if it was never seen before. It returns whether the agent was silent until now.
func (p *pulses) note(l *coordinationv1.Lease, now time.Time, fresh bool) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, known := p.of[l.Name]
	is := pulse{at: now, holds: defaultPulse, beats: known || fresh}
	if l.Spec.RenewTime != nil {
		is.renewTime = l.Spec.RenewTime.Time
	}
	if l.Spec.LeaseDurationSeconds != nil {
		is.holds = time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second
	}
	if known && is.renewTime.Equal(was.renewTime) {
		return false
	}
	p.of[l.Name] = is
	return !was.beats || was.silent(now)
}

// forget drops a Lease that was deleted.
func (p *pulses) forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, name)
}

// get returns a node's. That of an agent whose Lease was never seen begins now.
func (p *pulses) get(node string, now time.Time) pulse {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := v1alpha1.AgentLeaseName(node)
	is, known := p.of[name]
	if !known {
		is = pulse{at: now, holds: defaultPulse}
		p.of[name] = is
	}
	return is
}

// forgive begins all of them anew: while the API server could not be reached no
// agent could renew its Lease.
func (p *pulses) forgive(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, is := range p.of {
		is.at, is.beats = now, false
		p.of[name] = is
	}
}

// forgetGone drops what was seen of agents that are gone for good.
func (p *pulses) forgetGone(s *State) {
	known := make(map[string]bool, len(s.NodeStates))
	for i := range s.NodeStates {
		known[v1alpha1.AgentLeaseName(s.NodeStates[i].Name)] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.of, func(name string, is pulse) bool { return !known[name] && is.silent(s.Now) })
}

// watch notes each renewal, and wakes on those that are news: an agent that was
// silent, or is new.
func (p *pulses) watch() watch {
	note := func(fresh bool, o any) bool {
		l, is := o.(*coordinationv1.Lease)
		return is && ofAgent(l) && p.note(l, time.Now(), fresh)
	}
	return watch{&coordinationv1.Lease{}, predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return note(!e.IsInInitialList, e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool { return note(true, e.ObjectNew) },
		DeleteFunc: func(e event.DeleteEvent) bool {
			p.forget(e.Object.GetName())
			return true
		},
	}}
}

// ofAgent leaves out the Lease of the controllers' own election.
func ofAgent(l *coordinationv1.Lease) bool {
	return strings.HasPrefix(l.Name, v1alpha1.AgentLeaseName(""))
}
