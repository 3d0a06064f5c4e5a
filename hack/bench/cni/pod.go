package cni

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"strings"
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
	for i := range count {
		ns, free, err := nstest.Make("bench-pod")
		if err != nil {
			return nil, nil, errors.Join(err, release())
		}
		pods = append(pods, &pod{ns: ns, release: free, id: fmt.Sprintf("bench%08d%s", i, ns.Name)})
	}
	return pods, release, nil
}

// add executes ADD and returns how long it took. The calling thread is inside
// the node's namespace, as a container runtime is.
func (n *node) add(ctx context.Context, p *pod) (time.Duration, error) {
	out, took, err := n.call(ctx, "ADD", p, n.conf)
	p.result = out
	return took, err
}

// del executes DEL with the result of ADD, which runtimes keep for it.
func (n *node) del(ctx context.Context, p *pod) (time.Duration, error) {
	conf := maps.Clone(n.conf)
	conf["prevResult"] = p.result
	_, took, err := n.call(ctx, "DEL", p, conf)
	return took, err
}

func (n *node) call(ctx context.Context, verb string, p *pod, conf map[string]any) ([]byte, time.Duration, error) {
	stdin, err := json.Marshal(conf)
	if err != nil {
		return nil, 0, fmt.Errorf("configure %s: %w", verb, err)
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, n.program)
	cmd.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "CNI_COMMAND=" + verb, "CNI_CONTAINERID=" + p.id, "CNI_NETNS=" + p.ns.Path(),
		"CNI_IFNAME=eth0", "CNI_PATH=" + n.path, "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=" + p.id,
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &said
	start := time.Now()
	err = cmd.Run()
	took := time.Since(start)
	if err != nil {
		return nil, 0, fmt.Errorf("%s by %s: %w: %s", verb, n.program, err, strings.TrimSpace(said.String()+out.String()))
	}
	return out.Bytes(), took, nil
}
