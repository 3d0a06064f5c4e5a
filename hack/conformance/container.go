package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"fairlead.dev/dataplane/nstest"
)

// container is a namespace that may be attached to the node's network.
type container struct {
	node       *node
	ns         nstest.NS
	release    func()
	id, ifName string
	// prev is the result of ADD, which runtimes keep.
	prev json.RawMessage
}

// container makes one. Its namespace does not look for duplicates of addresses,
// which would make some plugins wait for a second and more.
func (n *node) container() *container {
	c := n.plainContainer()
	_, err := c.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
	n.t.must(err)
	return c
}

// plainContainer is a container with the kernel's own settings.
func (n *node) plainContainer() *container {
	ns, release, err := nstest.Make("container")
	n.t.must(err)
	n.t.atEnd = append(n.t.atEnd, release)
	c := &container{node: n, ns: ns, release: release, id: ns.Name, ifName: "eth0"}
	c.ip("link set lo up")
	return c
}

func (c *container) netns() string { return c.ns.Path() }

// ip runs commands of ip(8) in the container.
func (c *container) ip(commands ...string) { ip(c.node.t, c.ns, commands...) }

func (c *container) run(name string, args ...string) (string, error) {
	return run(c.ns, "", name, args...)
}

// args are CNI_ARGS as Kubernetes' runtimes pass them.
func (c *container) args() [][2]string {
	return [][2]string{
		{"IgnoreUnknown", "1"},
		{"K8S_POD_NAMESPACE", "default"},
		{"K8S_POD_NAME", c.id},
		{"K8S_POD_INFRA_CONTAINER_ID", c.id},
		{"K8S_POD_UID", "6b1d9d1c-5f0a-4b3e-9c55-2f5c2d7a1f00"},
	}
}

// call executes the plugin without the library: with prevResult for all verbs but
// ADD, if there is one. It may be called from any goroutine.
func (c *container) call(verb string, changes ...change) Answer {
	env := map[string]string{
		"CNI_COMMAND": verb, "CNI_PATH": c.node.t.plugin.Dir,
		"CNI_CONTAINERID": c.id, "CNI_NETNS": c.netns(), "CNI_IFNAME": c.ifName, "CNI_ARGS": joinArgs(c.args()),
	}
	conf := c.node.config()
	if verb != "ADD" && c.prev != nil {
		conf["prevResult"] = c.prev
	}
	return c.node.do(verb, call{env: env, conf: conf}, changes)
}

func joinArgs(args [][2]string) string {
	text := ""
	for i, kv := range args {
		if i > 0 {
			text += ";"
		}
		text += kv[0] + "=" + kv[1]
	}
	return text
}

// added attaches the container by the library and returns the result.
func (c *container) added() result {
	t := c.node.t
	lib, e := c.library()
	_, err := lib.AddNetworkList(context.Background(), c.node.list(), c.runtime())
	t.byLibrary(e, err, "ADD")
	c.prev = json.RawMessage(e.last.Stdout)
	return t.result(e.last)
}

// deleted runs DEL by the library.
func (c *container) deleted() {
	t := c.node.t
	lib, e := c.library()
	t.byLibrary(e, lib.DelNetworkList(context.Background(), c.node.list(), c.runtime()), "DEL")
}

// library is libcni for one caller.
func (c *container) library() (*libcni.CNIConfig, *executor) {
	e := &executor{node: c.node}
	return libcni.NewCNIConfigWithCacheDir([]string{c.node.t.plugin.Dir}, c.node.cache, e), e
}

// list is the network's configuration as a runtime reads it.
func (n *node) list() *libcni.NetworkConfigList {
	data, err := json.Marshal(map[string]any{"cniVersion": n.t.version, "name": network, "plugins": []any{n.conf}})
	n.t.must(err)
	list, err := libcni.ConfListFromBytes(data)
	n.t.must(err)
	return list
}

func (c *container) runtime() *libcni.RuntimeConf {
	return &libcni.RuntimeConf{ContainerID: c.id, NetNS: c.netns(), IfName: c.ifName, Args: c.args()}
}

// executor executes plugins for the library, inside the node's namespace.
type executor struct {
	node *node
	// last is the answer of the last one.
	last Answer
}

// ExecPlugin implements invoke.Exec.
func (e *executor) ExecPlugin(ctx context.Context, program string, stdin []byte, env []string) ([]byte, error) {
	e.last = execution{ns: e.node.ns, program: program, stdin: stdin, env: env}.run(ctx)
	e.node.t.noteAnswer("by libcni", e.last)
	switch {
	case e.last.Err != nil:
		return nil, e.last.Err
	case e.last.Status == 0:
		return []byte(e.last.Stdout), nil
	}
	failed := &types.Error{}
	if err := json.Unmarshal([]byte(e.last.Stdout), failed); err != nil {
		return nil, errors.New("the plugin failed without an error object")
	}
	return nil, failed
}

// FindInPath implements invoke.Exec.
func (*executor) FindInPath(plugin string, paths []string) (string, error) {
	return invoke.FindInPath(plugin, paths)
}

// Decode implements invoke.Exec.
func (*executor) Decode(data []byte) (version.PluginInfo, error) {
	return (&version.PluginDecoder{}).Decode(data)
}

// pings fails if no packet passes to an address and back.
func (c *container) pings(what string, addrs ...netip.Addr) {
	for _, addr := range addrs {
		if out, err := c.run("ping", "-n", "-c", "1", "-W", "5", addr.String()); err != nil {
			c.node.t.note("%v %s", err, out)
			c.node.t.fail("%s: no answer to an IPv%d packet", what, family(addr))
		}
	}
}

func family(addr netip.Addr) int {
	if addr.Is4() {
		return 4
	}
	return 6
}

// pair attaches two containers.
func (n *node) pair() (a, b *container, ra, rb result) {
	a, b = n.container(), n.container()
	ra = a.added()
	rb = b.added()
	return a, b, ra, rb
}

// listed is the attachment as GC's configuration lists it.
func (c *container) listed() map[string]string {
	return map[string]string{"containerID": c.id, "ifname": c.ifName}
}

// valid is the key of GC that lists attachments.
func valid(containers ...*container) change {
	list := []map[string]string{}
	for _, c := range containers {
		list = append(list, c.listed())
	}
	return key("cni.dev/valid-attachments", list)
}
