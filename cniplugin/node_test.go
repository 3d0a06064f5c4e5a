package cniplugin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/nstest"
)

// binDir holds the plugin as a runtime finds it.
var binDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "fairlead-cni-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binDir = dir
		build := exec.Command("go", "build", "-o", filepath.Join(dir, "fairlead"), "fairlead.dev/cmd/fairlead-cni")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the plugin: %v\n%s", err, out)
			return 1
		}
		if err := os.Link(filepath.Join(dir, "fairlead"), filepath.Join(dir, "fairlead-ipam")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// node is a node: a namespace with a store, in which plugins are executed.
type node struct {
	ns     nstest.NS
	runDir string
	cni    *libcni.CNIConfig
}

// blocks of a dual-stack node.
var (
	block4 = netip.MustParsePrefix("10.77.1.0/26")
	block6 = netip.MustParsePrefix("fd77:1::/122")
)

// newNode makes a node with a store and those blocks. When the test is over,
// after its pods are deleted, nothing may be left in kernel and store.
func newNode(t *testing.T, blocks ...netip.Prefix) *node {
	t.Helper()
	n := &node{ns: nstest.New(t, "node"), runDir: t.TempDir()}
	n.cni = libcni.NewCNIConfigWithCacheDir([]string{binDir}, t.TempDir(), nsExec{n.ns.Path()})
	n.ns.Run(t, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	now, err := store.Now()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Create(n.storeDir(), nil, now); err != nil {
		t.Fatal(err)
	}
	n.lease(t, blocks...)
	t.Cleanup(func() { n.checkNothingLeft(t) })
	return n
}

func (n *node) storeDir() string { return filepath.Join(n.runDir, rundir.Store) }

func (n *node) lease(t *testing.T, blocks ...netip.Prefix) {
	t.Helper()
	n.update(t, func(s *store.State) {
		var leases []store.Lease
		for _, b := range blocks {
			leases = append(leases, store.Lease{CIDR: b, UID: b.String(), Pool: "test"})
		}
		s.SetLeases(leases)
	})
}

func (n *node) update(t *testing.T, f func(*store.State)) {
	t.Helper()
	s, err := store.Open(n.storeDir())
	if err == nil {
		err = s.Update(func(state *store.State) error { f(state); return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (n *node) state(t *testing.T) store.State {
	t.Helper()
	s, err := store.Open(n.storeDir())
	if err != nil {
		t.Fatal(err)
	}
	state, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// checkNothingLeft is the leak check at the end of every test.
func (n *node) checkNothingLeft(t *testing.T) {
	t.Helper()
	if links := n.links(t); len(links) != 0 {
		t.Errorf("links left: %v", links)
	}
	for _, family := range []string{"-4", "-6"} {
		if out := n.ns.Run(t, "ip", family, "route", "show", "proto", "171"); out != "" {
			t.Errorf("routes left:\n%s", out)
		}
		if out := n.ns.Run(t, "ip", family, "neigh", "show", "nud", "all"); strings.Contains(out, " dev fl") {
			t.Errorf("neighbours left:\n%s", out)
		}
	}
	if s, err := store.Open(n.storeDir()); err == nil {
		if state, err := s.Read(); err == nil && len(state.Allocations) != 0 {
			t.Errorf("addresses left: %+v", state.Allocations)
		}
	}
}

// links are the names of the pods' links on the node.
func (n *node) links(t *testing.T) []string {
	t.Helper()
	var all []struct{ IfName string }
	if err := json.Unmarshal([]byte(n.ns.Run(t, "ip", "-json", "link", "show")), &all); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range all {
		if strings.HasPrefix(l.IfName, "fl") {
			names = append(names, l.IfName)
		}
	}
	return names
}

// conf is the plugin's configuration on this node; more adds keys ("mtu":1400).
func (n *node) conf(version string, more ...string) string {
	keys := append([]string{
		`"cniVersion":"` + version + `"`, `"name":"testnet"`, `"type":"fairlead"`, `"runDir":"` + n.runDir + `"`,
	}, more...)
	return "{" + strings.Join(keys, ",") + "}"
}

func (n *node) list(t *testing.T, version string, more ...string) *libcni.NetworkConfigList {
	t.Helper()
	raw := fmt.Sprintf(`{"cniVersion":%q,"name":"testnet","plugins":[%s]}`, version, n.conf(version, more...))
	list, err := libcni.ConfListFromBytes([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// pod is a namespace that is attached to a node.
type pod struct {
	ns   nstest.NS
	node *node
	list *libcni.NetworkConfigList
	rt   *libcni.RuntimeConf
}

// newPod makes a pod that is not attached yet. DEL is run when the test is over.
func (n *node) newPod(t *testing.T, version string, more ...string) *pod {
	t.Helper()
	p := &pod{ns: nstest.New(t, "pod"), node: n, list: n.list(t, version, more...)}
	p.rt = &libcni.RuntimeConf{
		ContainerID: p.ns.Name, NetNS: p.ns.Path(), IfName: "eth0",
		Args: [][2]string{
			{"IgnoreUnknown", "1"},
			{"K8S_POD_NAMESPACE", "default"},
			{"K8S_POD_NAME", p.ns.Name},
			{"K8S_POD_INFRA_CONTAINER_ID", "x"},
		},
	}
	t.Cleanup(func() {
		if err := p.del(); err != nil {
			t.Errorf("DEL: %v", err)
		}
	})
	return p
}

func (p *pod) add() (*types100.Result, error) {
	r, err := p.node.cni.AddNetworkList(context.Background(), p.list, p.rt)
	if err != nil {
		return nil, err
	}
	return types100.NewResultFromResult(r)
}

func (p *pod) mustAdd(t *testing.T) *types100.Result {
	t.Helper()
	r, err := p.add()
	if err != nil {
		t.Fatalf("ADD: %v", err)
	}
	return r
}

func (p *pod) del() error {
	return p.node.cni.DelNetworkList(context.Background(), p.list, p.rt)
}

func (p *pod) check() error {
	return p.node.cni.CheckNetworkList(context.Background(), p.list, p.rt)
}

// addresses of a result, in its order.
func addresses(r *types100.Result) []netip.Addr {
	var out []netip.Addr
	for _, ip := range r.IPs {
		addr, _ := netip.AddrFromSlice(ip.Address.IP)
		out = append(out, addr.Unmap())
	}
	return out
}

// code of a CNI error, 0 without one.
func code(err error) uint {
	var e *types.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// run executes the plugin with no library between: env is added to a bare one.
func (n *node) run(verb, conf string, env ...string) (stdout string, err error) {
	return n.runAs("fairlead", verb, conf, env...)
}

// runAs is run for the program under one of its names.
func (n *node) runAs(program, verb, conf string, env ...string) (stdout string, err error) {
	out, err := nsExec{n.ns.Path()}.ExecPlugin(context.Background(), filepath.Join(binDir, program), []byte(conf),
		append([]string{"PATH=" + os.Getenv("PATH"), "CNI_PATH=" + binDir, "CNI_COMMAND=" + verb}, env...))
	return string(out), err
}

// nsExec executes plugins inside a network namespace, as a runtime of that node
// would.
type nsExec struct{ path string }

func (e nsExec) ExecPlugin(ctx context.Context, plugin string, stdin []byte, env []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "nsenter", "--net="+e.path, plugin)
	cmd.Env = env
	cmd.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.Bytes(), nil
	}
	failure := types.Error{}
	if jsonErr := json.Unmarshal(stdout.Bytes(), &failure); jsonErr != nil {
		return nil, fmt.Errorf("%w: no CNI error on standard output: %q, standard error: %q", err, stdout.String(), stderr.String())
	}
	return nil, &failure
}

func (nsExec) FindInPath(plugin string, paths []string) (string, error) {
	return invoke.FindInPath(plugin, paths)
}

func (nsExec) Decode(data []byte) (version.PluginInfo, error) {
	return (&version.PluginDecoder{}).Decode(data)
}
