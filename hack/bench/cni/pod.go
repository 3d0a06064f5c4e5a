package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/bench/rig"
)

// settleBound is how long the kernel may take to remove a run's namespaces.
const settleBound = time.Minute

// pod is a fresh network namespace and what the plugin made of it.
type pod struct {
	ns      nstest.NS
	release func()
	id      string
	// host and address are for networks that cannot choose them.
	host    string
	address netip.Addr
	result  json.RawMessage
}

// newPods makes fresh namespaces. They are gone, and the kernel has done its
// work, when release returns.
func (n *node) newPods(ctx context.Context, count int) (pods []*pod, release func() error, err error) {
	release = func() error {
		last := len(pods) - 1
		if last < 0 {
			return nil
		}
		ctx := context.WithoutCancel(ctx)
		// The kernel removes namespaces later, in their order: of the last one it
		// tells by a veth's other end.
		_, err := rig.Run(ctx, n.ns, "ip", "link", "add", "sentinel", "type", "veth", "peer", "name", "sentinel", "netns", pods[last].ns.Name)
		for _, p := range pods {
			p.release()
		}
		if err != nil {
			return err
		}
		return rig.Wait(ctx, settleBound, 5*time.Millisecond, "end of the pods' namespaces", func() error {
			if _, err := rig.Run(ctx, n.ns, "ip", "link", "show", "sentinel"); err == nil {
				return errors.New("the last one is there")
			}
			return nil
		})
	}
	address := netip.MustParsePrefix(block4).Addr()
	for i := range count {
		ns, free, err := nstest.Make("bench-pod")
		if err != nil {
			return nil, nil, errors.Join(err, release())
		}
		address = address.Next()
		pods = append(pods, &pod{
			ns: ns, release: free, id: fmt.Sprintf("bench%08d%s", i, ns.Name), host: fmt.Sprintf("bench%08d", i), address: address,
		})
	}
	return pods, release, nil
}
