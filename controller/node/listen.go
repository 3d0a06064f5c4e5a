package node

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"fairlead.dev/bgp"
	"fairlead.dev/controller/plan"
)

// portPatience is how long the BGP port may be taken before the agent does without
// it. An earlier agent, or one of its children, may hold it for a moment; and to
// listen later means to begin all sessions anew.
const portPatience = 5 * time.Second

// portRetry is how often a port that is taken is tried again: nobody tells when it
// comes free.
const portRetry = 10 * time.Second

// listening is about the BGP port when another process has it, such as an FRR or BIRD
// of the node.
type listening struct {
	taken time.Time // since when it is, zero if it is not
	// without says that BGP runs and does not listen; again, that it has begun to.
	without, again bool
}

// speak is Speaker.Apply, but for a port that another process goes on to hold: then
// BGP runs without it, and the sessions that the node dials come up.
func (a *Agent) speak(ctx context.Context, config bgp.Config) error {
	l := &a.listen
	err := a.ports.Speaker.Apply(ctx, config)
	if !errors.Is(err, syscall.EADDRINUSE) {
		l.again, l.without, l.taken = l.without, false, time.Time{}
		return err
	}
	if l.taken.IsZero() {
		l.taken = time.Now()
		a.opts.Logger.Warn("the BGP port is taken by another process", "port", config.Global.ListenPort)
	}
	// An engine that listens elsewhere goes on as it is: that is better than nowhere.
	running := a.engine != (bgp.Global{})
	if !l.without && (running || time.Since(l.taken) < portPatience) {
		return err
	}
	l.without = true
	config.Global.ListenPort = -1
	return a.ports.Speaker.Apply(ctx, config)
}

// wait is until the port is to be tried again, if that comes before.
func (l *listening) wait(next time.Duration) time.Duration {
	if l.taken.IsZero() {
		return next
	}
	return min(next, portRetry)
}

// renewed says, once, that BGP began anew since the port has come free.
func (l *listening) renewed() bool {
	again := l.again
	l.again = false
	return again
}

// problem says what a person can do about the port.
func (l *listening) problem(p plan.Plan, node string) []plan.Problem {
	if l.taken.IsZero() {
		return nil
	}
	return []plan.Problem{{Object: "BGPNode/" + node, Field: "spec.listenPort", Message: fmt.Sprintf(
		"TCP port %d is taken by another process of this node, such as an FRR or BIRD: sessions that this node dials come up, those that others dial do not. "+
			"End the process, or set listenPort of the BGPConfiguration that governs the node to another port, or to -1 to listen nowhere", p.BGP.Global.ListenPort)}}
}
