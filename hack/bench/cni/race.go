package cni

import (
	"context"
	"errors"
	"sync"
	"time"

	"fairlead.dev/hack/bench/measure"
)

// turns is how many pods each worker takes before it is the next side's turn:
// one after another in turns of one, several at once long enough to be at once.
const turns = 5

// race has nodes add and delete pods, in turns.
type race struct {
	workers, pods int
}

// run returns what was measured of each node.
func (r race) run(ctx context.Context, nodes []*node) (added, deleted []measure.Sample, err error) {
	sides := make([]side, len(nodes))
	for i, n := range nodes {
		pods, release, podErr := n.newPods(ctx, r.pods)
		if podErr != nil {
			return nil, nil, podErr
		}
		defer func() { err = errors.Join(err, release()) }()
		sides[i] = side{n, pods}
	}
	if added, err = r.lap(ctx, add, sides); err != nil {
		return nil, nil, err
	}
	deleted, err = r.lap(ctx, del, sides)
	return added, deleted, err
}

// side is one node with its pods.
type side struct {
	node *node
	pods []*pod
}

// lap takes all sides through all their pods.
func (r race) lap(ctx context.Context, verb string, sides []side) ([]measure.Sample, error) {
	samples := make([]measure.Sample, len(sides))
	chunk := 1
	if r.workers > 1 {
		chunk = turns * r.workers
	}
	for at := 0; at < r.pods; at += chunk {
		end := min(at+chunk, r.pods)
		for i := range sides {
			// Who is next in a turn meets what the one before left to the kernel.
			j := (i + at/chunk) % len(sides)
			if err := sides[j].part(ctx, verb, r.workers, at, end, &samples[j]); err != nil {
				return nil, err
			}
		}
	}
	return samples, nil
}

// part takes the side through the pods from at to end, so many workers at once.
func (s side) part(ctx context.Context, verb string, workers, at, end int, sample *measure.Sample) error {
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
					var took time.Duration
					var err error
					if took, err = s.node.network.do(ctx, verb, p); err != nil {
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
