package pods

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"fairlead.dev/hack/bench/rig"
)

const (
	// bound is how long a batch may take to come, and to go.
	bound = 10 * time.Minute
	// label is that of all pods that are measured, its value the batch.
	label = "batch"
	// pause is an image that every node has.
	pause = "registry.k8s.io/pause:3.10.1"
)

// race starts and ends batches of pods on both sides, in turns.
func (s *stage) race(ctx context.Context, pods, batches int) (ours, theirs result, err error) {
	results := [2]result{}
	for i := range batches {
		for j := range s.sides {
			// Who is next in a turn meets what the one before left to the machine.
			at := (i + j) % len(s.sides)
			start := time.Now()
			if err := s.batch(ctx, s.sides[at], pods, &results[at]); err != nil {
				return ours, theirs, err
			}
			s.log("%s: %d pods came and went in %v", s.sides[at].name, pods, time.Since(start).Round(time.Millisecond))
		}
	}
	return results[0], results[1], nil
}

// batch starts pods on a side's node, all at once, and ends them when each is
// Ready and has answered.
func (s *stage) batch(ctx context.Context, on side, count int, into *result) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("a batch of %d pods on %s: not within %v", count, on.node, bound))
	defer cancel()
	s.batches++
	batch := fmt.Sprintf("%s-%d", on.node, s.batches)
	before, err := on.calls(ctx)
	if err != nil {
		return err
	}
	s.probe.aim(on.results)
	created, ready, err := s.start(ctx, on, batch, count)
	if err != nil {
		return err
	}
	for name, pod := range ready {
		answered, err := s.probe.answered(ctx, pod.address)
		if err != nil {
			return fmt.Errorf("pod %s: %w", name, err)
		}
		if answered.Before(created[name]) {
			return fmt.Errorf("pod %s: its address %s answered before the pod was created", name, pod.address)
		}
		into.ready.Add(pod.at.Sub(created[name]))
		into.packet.Add(answered.Sub(created[name]))
	}
	s.probe.aim("")
	after, err := on.calls(ctx)
	if err != nil {
		return err
	}
	during := after.minus(before)
	if during.count < float64(count) {
		return fmt.Errorf("containerd on %s counts %v calls of plugins for %d pods", on.node, during.count, count)
	}
	into.adds = into.adds.plus(during)
	return s.end(ctx, batch)
}

// ready is when a pod was seen to be Ready, and its address.
type ready struct {
	at      time.Time
	address netip.Addr
}

// start creates pods and waits until they are Ready. It returns when each was
// created, and when it was Ready.
func (s *stage) start(ctx context.Context, on side, batch string, count int) (created map[string]time.Time, up map[string]ready, err error) {
	pods := s.client.CoreV1().Pods(metav1.NamespaceDefault)
	w, err := pods.Watch(ctx, metav1.ListOptions{LabelSelector: label + "=" + batch})
	if err != nil {
		return nil, nil, fmt.Errorf("watch pods: %w", err)
	}
	defer w.Stop()
	created = map[string]time.Time{}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for i := range count {
			pod := podOn(on.node, batch, fmt.Sprintf("%s-%d", batch, i+1))
			created[pod.Name] = time.Now()
			if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("create pod %s: %w", pod.Name, err)
			}
		}
		return nil
	})
	g.Go(func() (err error) {
		up, err = allReady(ctx, w, count)
		return err
	})
	return created, up, g.Wait()
}

// allReady watches until so many pods are Ready.
func allReady(ctx context.Context, w watch.Interface, count int) (map[string]ready, error) {
	up := map[string]ready{}
	for len(up) < count {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d pods are Ready: %w", len(up), count, context.Cause(ctx))
		case e, ok := <-w.ResultChan():
			pod, isPod := e.Object.(*corev1.Pod)
			if !ok || !isPod {
				return nil, fmt.Errorf("watch pods: it ended with %d of %d Ready: %v", len(up), count, e.Object)
			}
			if _, known := up[pod.Name]; known || !isReady(pod) {
				continue
			}
			now := time.Now()
			address, err := netip.ParseAddr(pod.Status.PodIP)
			if err != nil {
				return nil, fmt.Errorf("pod %s is Ready: address: %w", pod.Name, err)
			}
			up[pod.Name] = ready{now, address}
		}
	}
	return up, nil
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// end deletes the pods of a batch and waits until nothing of them is left.
func (s *stage) end(ctx context.Context, batch string) error {
	pods := s.client.CoreV1().Pods(metav1.NamespaceDefault)
	of := metav1.ListOptions{LabelSelector: label + "=" + batch}
	if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{}, of); err != nil {
		return fmt.Errorf("delete pods: %w", err)
	}
	return rig.Wait(ctx, bound, 200*time.Millisecond, "pods of "+batch+" end", func() error {
		left, err := pods.List(ctx, of)
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d are left", len(left.Items))
		}
		return err
	})
}

// podOn is a pod that does nothing, of a node that no scheduler has to choose.
func podOn(node, batch, name string) *corev1.Pod {
	grace := int64(1)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{label: batch}},
		Spec: corev1.PodSpec{
			NodeName:                      node,
			TerminationGracePeriodSeconds: &grace,
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers:                    []corev1.Container{{Name: "pause", Image: pause, ImagePullPolicy: corev1.PullNever}},
		},
	}
}
