package cni

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	"fairlead.dev/hack/bench/cni/kernel"
)

// Verbs of CNI.
const (
	add = "ADD"
	del = "DEL"
)

// network makes and deletes pods' links and tells how long that took. The calling
// thread is inside the node's namespace, as a container runtime is.
type network interface {
	do(ctx context.Context, verb string, p *pod) (time.Duration, error)
}

// chain is a CNI configuration list.
type chain struct {
	// path is CNI_PATH, where a plugin finds others.
	path string
	// plugins are executed in order.
	plugins []plugin
}

type plugin struct {
	program string
	// conf is the configuration as a runtime passes it, without prevResult.
	conf map[string]any
}

// newChain reads a configuration list and gives its plugins the name and version
// of the list, as a runtime does. Where says which program a type is.
func newChain(conflist []byte, path string, where func(kind string) string) (chain, error) {
	var list struct {
		CNIVersion string           `json:"cniVersion"`
		Name       string           `json:"name"`
		Plugins    []map[string]any `json:"plugins"`
	}
	if err := json.Unmarshal(conflist, &list); err != nil {
		return chain{}, fmt.Errorf("read configuration list: %w", err)
	}
	c := chain{path: path}
	for _, conf := range list.Plugins {
		kind, _ := conf["type"].(string)
		conf["cniVersion"], conf["name"] = list.CNIVersion, list.Name
		c.plugins = append(c.plugins, plugin{where(kind), conf})
	}
	return c, nil
}

// do executes the plugins, for DEL backwards. Each is given the result of the one
// before it in ADD, and that of the last in DEL. Only they are timed.
func (c chain) do(ctx context.Context, verb string, p *pod) (took time.Duration, err error) {
	plugins := slices.Clone(c.plugins)
	if verb == del {
		slices.Reverse(plugins)
	}
	for _, plugin := range plugins {
		conf := maps.Clone(plugin.conf)
		if p.result != nil {
			conf["prevResult"] = p.result
		}
		stdin, err := json.Marshal(conf)
		if err != nil {
			return 0, fmt.Errorf("configure %s: %w", verb, err)
		}
		cmd := exec.CommandContext(ctx, plugin.program)
		cmd.Env = []string{"CNI_PATH=" + c.path, "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=" + p.id}
		result, t, err := execute(cmd, verb, p, stdin)
		if err != nil {
			return 0, err
		}
		took += t
		if verb == add {
			p.result = result
		}
	}
	return took, nil
}

// floor executes the program that does the kernel calls alone.
type floor struct{ program string }

func (f floor) do(ctx context.Context, verb string, p *pod) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, f.program, verb, p.ns.Path(), p.host, p.address.String())
	_, took, err := execute(cmd, verb, p, []byte("{}"))
	return took, err
}

// living does the kernel calls in this very process.
type living struct{}

func (living) do(_ context.Context, verb string, p *pod) (time.Duration, error) {
	start := time.Now()
	var err error
	if verb == add {
		err = kernel.Add(p.ns.Path(), p.host, p.address)
	} else {
		err = kernel.Delete(p.host)
	}
	if err != nil {
		return 0, fmt.Errorf("%s of %s in this process: %w", verb, p.id, err)
	}
	return time.Since(start), nil
}

// execute runs a command as a container runtime runs a plugin.
func execute(cmd *exec.Cmd, verb string, p *pod, stdin []byte) ([]byte, time.Duration, error) {
	var out, said bytes.Buffer
	cmd.Env = append(
		cmd.Env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		"CNI_COMMAND="+verb, "CNI_CONTAINERID="+p.id, "CNI_NETNS="+p.ns.Path(), "CNI_IFNAME=eth0",
	)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &said
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return nil, 0, fmt.Errorf("%s by %s: %w: %s", verb, cmd.Path, err, strings.TrimSpace(said.String()+out.String()))
	}
	return out.Bytes(), took, nil
}
