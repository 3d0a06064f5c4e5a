package labtest

import (
	"context"
	"testing"

	"fairlead.dev/hack/lab"
)

// AddPod adds a pod, which is gone at the end of the test if it is not before. add
// is the lab's AddPod, or another of its ways to add one.
func AddPod(t testing.TB, l *lab.Lab, add func(ctx context.Context, node, name string) (lab.Pod, error), node, name string) lab.Pod {
	t.Helper()
	pod, err := add(t.Context(), node, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := l.Pod(name); err != nil {
			return
		}
		if err := l.DelPod(context.WithoutCancel(t.Context()), name); err != nil {
			t.Error(err)
		}
	})
	return pod
}

// Agent of a node, to kill, stop and start.
func Agent(t testing.TB, l *lab.Lab, node string) *lab.Process {
	t.Helper()
	p, err := l.Node(node).Agent()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
