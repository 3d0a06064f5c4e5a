package cni

import (
	"context"
	"errors"
	"sync"
	"time"

	"fairlead.dev/hack/bench/measure"
)

// turns is how many pods each worker takes before it is the other side's turn:
// one after another in turns of one, several at once long enough to be at once.
const turns = 5

// race has two nodes add and delete pods, in turns.
type race struct {
	workers, pods int
}

func (r race) run(ctx context.Context, ours, peer *node) (added, deleted measure.Pair, err error) {
	ourPods, releaseOurs, err := ours.newPods(ctx, r.pods)
	if err != nil {
		return added, deleted, err
	}
	defer func() { err = errors.Join(err, releaseOurs()) }()
	peerPods, releasePeers, err := peer.newPods(ctx, r.pods)
	if err != nil {
		return added, deleted, err
	}
	defer func() { err = errors.Join(err, releasePeers()) }()
	if added, err = r.lap(ctx, side{ours, ourPods, (*node).add}, side{peer, peerPods, (*node).add}); err != nil {
		return added, deleted, err
	}
	deleted, err = r.lap(ctx, side{ours, ourPods, (*node).del}, side{peer, peerPods, (*node).del})
	return added, deleted, err
}

// side is one node with what it is to do with each of its pods.
type side struct {
	node *node
	pods []*pod
	do   func(*node, context.Context, *pod) (time.Duration, error)
}

// heat is a side and what is measured of it.
type heat struct {
	side   side
	sample *measure.Sample
}

// lap takes both sides through all their pods.
func (r race) lap(ctx context.Context, ours, peer side) (measure.Pair, error) {
	var p measure.Pair
	chunk := 1
	if r.workers > 1 {
		chunk = turns * r.workers
	}
	for at := 0; at < r.pods; at += chunk {
		end := min(at+chunk, r.pods)
		// Who is first in a turn meets what the turn before left to the kernel.
		first, second := heat{ours, &p.Ours}, heat{peer, &p.Peer}
		if at/chunk%2 == 1 {
			first, second = second, first
		}
		for _, h := range []heat{first, second} {
			if err := h.side.part(ctx, r.workers, at, end, h.sample); err != nil {
				return p, err
			}
		}
	}
	return p, nil
}

// part takes the side through the pods from at to end, so many workers at once.
func (s side) part(ctx context.Context, workers, at, end int, sample *measure.Sample) error {
	queue := make(chan *pod, end-at)
	for _, p := range s.pods[at:end] {
		queue <- p
	}
	close(queue)
	var mu sync.Mutex // guards sample and errs
	var errs []error
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			err := s.node.ns.Inside(func() error {
				for p := range queue {
					took, err := s.do(s.node, ctx, p)
					if err != nil {
						return err
					}
					mu.Lock()
					sample.Add(took)
					mu.Unlock()
				}
				return nil
			})
			mu.Lock()
			errs = append(errs, err)
			mu.Unlock()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
