package cluster

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/config"
	"fairlead.dev/hack/lab/cluster"
)

// otherTag is a tag of the same image: all of Fairlead's Pods are made anew for it.
const otherTag = "other"

// rate of requests, a second.
const rate = 1000

// upgrade: no request fails and no route goes while Fairlead is upgraded, rolled
// back, uninstalled, and installed again.
func (s *scene) upgrade(t *testing.T) {
	s.tagImages(t)
	pods := s.serve(t, "asked", len(s.Machines()))
	ctx, use := s.use(t)
	use.ask(ctx, "from a pod to the Service", podNS(t, on(t, pods, s.first())), s.clusterIPs(t, "asked")[0], rate/2)
	racks := s.Topology().Racks
	tor := racks[len(racks)-1].ToRs[0].Name
	addresses := at(on(t, pods, s.last()))
	use.ask(ctx, "from "+tor+" to a pod", s.ns(tor), addresses[len(addresses)-1], rate/2)
	use.watch(ctx, t, pods)
	if err := s.Upgrade(t.Context(), map[string]any{"image": map[string]any{"tag": otherTag}}); err != nil {
		t.Fatal(err)
	}
	s.rolled(t, otherTag)
	use.well(t, "upgrade")
	if _, err := s.release(t, "rollback", cluster.Release); err != nil {
		t.Fatal(err)
	}
	s.rolled(t, cluster.Tag)
	use.well(t, "rollback")
	if _, err := s.release(t, "uninstall", cluster.Release); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "Fairlead's Pods are gone", func(ctx context.Context) error {
		pods, err := s.ours(ctx)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("%d are there", len(pods))
		}
		return err
	})
	use.well(t, "uninstall")
	if err := s.Install(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s.rolled(t, cluster.Tag)
	use.stop(t, "install")
}

func (s *scene) release(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return s.Helm(t.Context(), append([]string{"--namespace", config.DefaultNamespace}, args...)...)
}

// tagImages gives the image another tag on each machine until the end of the test.
func (s *scene) tagImages(t *testing.T) {
	t.Helper()
	for _, m := range s.Machines() {
		from, to := cluster.Repository+":"+cluster.Tag, cluster.Repository+":"+otherTag
		if _, err := m.Exec(t.Context(), "ctr", "--namespace", "k8s.io", "images", "tag", from, to); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := m.Exec(context.WithoutCancel(t.Context()), "ctr", "--namespace", "k8s.io", "images", "rm", to); err != nil {
				t.Error(err)
			}
		})
	}
}

// ours are Fairlead's own Pods.
func (s *scene) ours(ctx context.Context) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := s.Client().List(ctx, &list, client.InNamespace(config.DefaultNamespace), client.MatchingLabels{"app.kubernetes.io/name": "fairlead"})
	return list.Items, err
}

// rolled waits until all of Fairlead's Pods are of the image's tag, and as wanted.
func (s *scene) rolled(t *testing.T, tag string) {
	t.Helper()
	for _, workload := range []string{"daemonset/fairlead-agent", "deployment/fairlead-controller"} {
		if err := s.WaitRollout(t.Context(), config.DefaultNamespace, workload); err != nil {
			t.Fatal(err)
		}
	}
	s.eventually(t, "all Pods are of tag "+tag, func(ctx context.Context) error {
		pods, err := s.ours(ctx)
		for _, pod := range pods {
			if image := pod.Spec.Containers[0].Image; image != cluster.Repository+":"+tag {
				return fmt.Errorf("%s has the image %s", pod.Name, image)
			}
		}
		if want := len(s.Machines()) + 1; err == nil && len(pods) < want {
			err = fmt.Errorf("%d Pods, want at least %d", len(pods), want)
		}
		return err
	})
	if err := s.WaitRoutes(t.Context()); err != nil {
		t.Fatal(err)
	}
}
