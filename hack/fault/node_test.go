package fault_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sys/unix"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/link"
	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/fault"
)

// plugin is the program under test, built once, and ipam the same by the name
// that makes it an IPAM plugin.
var plugin, ipam string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		sweep()
		dir, err := os.MkdirTemp("", "fairlead-fault-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		plugin = filepath.Join(dir, "fairlead")
		// As it is shipped, whatever the test is built with.
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", plugin, "fairlead.dev/cmd/fairlead-cni")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the plugin: %v\n%s", err, out)
			return 1
		}
		ipam = filepath.Join(dir, "fairlead-ipam")
		if err := os.Link(plugin, ipam); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// Blocks of a node, with room for all that a test starts at once.
var (
	block4 = netip.MustParsePrefix("10.77.0.0/22")
	block6 = netip.MustParsePrefix("fd77::/118")
)

func leases() []store.Lease {
	return []store.Lease{
		{CIDR: block4, UID: "b4", Pool: "pods"},
		{CIDR: netip.MustParsePrefix("192.168.77.0/26"), UID: "l4", Pool: "lan", IPAMOnly: true},
		{CIDR: block6, UID: "b6", Pool: "pods"},
		{CIDR: netip.MustParsePrefix("fd78::/122"), UID: "l6", Pool: "lan", IPAMOnly: true},
	}
}

// node is a machine: a namespace with an uplink, and an address store with leases.
type node struct {
	ns     nstest.NS
	runDir string
}

// uplink starts the names of links that are no pod's.
const uplink = "uplink"

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{ns: nstest.New(t, "node"), runDir: tmpfs(t)}
	n.ns.Run(t, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.default.accept_dad=0")
	for _, args := range []string{
		"link add uplink0 type veth peer name uplink1",
		"addr add 192.0.2.1/24 dev uplink0",
		"addr add 2001:db8::1/64 dev uplink0 nodad",
		"link set uplink1 up",
		"link set uplink0 up",
		"route add default via 192.0.2.254",
		"route add default via 2001:db8::fe",
	} {
		n.ns.Run(t, "ip", strings.Fields(args)...)
	}
	if err := n.createStore(); err != nil {
		t.Fatal(err)
	}
	return n
}

// tmpfs is a folder on tmpfs, as a node's run directory is: a disk may make who
// holds the lock wait for seconds.
func tmpfs(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", fmt.Sprintf("fairlead-fault-%d-", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// sweep removes what test processes that were killed left on tmpfs.
func sweep() {
	dirs, _ := filepath.Glob("/dev/shm/fairlead-fault-*-*")
	for _, dir := range dirs {
		if _, err := os.Stat("/proc/" + strings.Split(filepath.Base(dir), "-")[2]); errors.Is(err, os.ErrNotExist) {
			_ = os.RemoveAll(dir)
		}
	}
}

// createStore makes the store as the agent does.
func (n *node) createStore() error {
	now, err := store.Now()
	if err != nil {
		return err
	}
	if _, _, err := store.Create(n.storeDir(), nil, now); err != nil {
		return err
	}
	return n.update(func(s *store.State) { s.SetLeases(leases()) })
}

func (n *node) storeDir() string { return filepath.Join(n.runDir, rundir.Store) }

func (n *node) update(change func(*store.State)) error {
	s, err := store.Open(n.storeDir())
	if err != nil {
		return err
	}
	return s.Update(func(state *store.State) error { change(state); return nil })
}

// pod is a container with a namespace, which the runtime may attach.
type pod struct {
	ns      nstest.NS
	release func()
	id      string
	network string
	// program that attaches it: plugin or ipam.
	program string
}

// newPod makes a pod of the network whose attachments the test is about.
func newPod() (pod, error) {
	ns, release, err := nstest.Make("pod")
	return pod{ns: ns, release: release, id: "id-" + ns.Name, network: tested, program: plugin}, err
}

// tested is the network that a test is about.
const tested = "tested"

// call is the plugin with a verb about a pod, as a runtime runs it.
func (n *node) call(verb string, p pod) fault.Command {
	c := n.command(verb, p.program, p.network)
	c.Env = append(
		c.Env, "CNI_CONTAINERID="+p.id, "CNI_NETNS="+p.ns.Path(), "CNI_IFNAME=eth0",
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME="+p.id,
	)
	return c
}

// gc is GC of the tested network, in which no attachment is valid.
func (n *node) gc(program string) fault.Command { return n.command("GC", program, tested) }

func (n *node) command(verb, program, network string) fault.Command {
	settings := fmt.Sprintf(`"type":"fairlead","runDir":%q`, n.runDir)
	if program == ipam {
		settings = fmt.Sprintf(`"type":"macvlan","ipam":{"type":"fairlead-ipam","pools":["lan"],"prefixLength":24,"prefixLength6":64,"runDir":%q}`, n.runDir)
	}
	if verb == "GC" {
		settings += `,"cni.dev/valid-attachments":[]`
	}
	return fault.Command{
		Path: program, Stdin: fmt.Sprintf(`{"cniVersion":"1.1.0","name":%q,%s}`, network, settings),
		Env: []string{"PATH=" + os.Getenv("PATH"), "CNI_PATH=" + filepath.Dir(program), "CNI_COMMAND=" + verb},
	}
}

// run runs a call to its end with nobody watching.
func (n *node) run(c fault.Command) (result, error) {
	var r result
	err := n.ns.Inside(func() (err error) { r, err = execute(c); return err })
	return r, err
}

// result of ADD, what the tests need to know of it.
type result struct {
	IPs []struct{ Address netip.Prefix }
}

func (r result) addresses() (list []netip.Addr) {
	for _, ip := range r.IPs {
		list = append(list, ip.Address.Addr())
	}
	return list
}

// execute runs a call where the calling thread is.
func execute(c fault.Command) (r result, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, strings.NewReader(c.Stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		failure := &types.Error{}
		if json.Unmarshal(stdout.Bytes(), failure) == nil && failure.Code != 0 {
			return r, failure
		}
		return r, fmt.Errorf("%w: no CNI error on standard output: %q, standard error: %q", err, &stdout, &stderr)
	}
	if stdout.Len() > 0 {
		err = json.Unmarshal(stdout.Bytes(), &r)
	}
	return r, err
}

// output runs a command in a namespace.
func output(ns nstest.NS, stdin, name string, args ...string) (string, error) {
	var out []byte
	err := ns.Inside(func() (err error) {
		cmd := exec.Command(name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return "", fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return string(out), nil
}

// look is all that an attachment could leave in a namespace, a line each, but
// for what is about links in others and about neighbours of a link in unsteady.
func look(ns nstest.NS, unsteady string) ([]string, error) {
	var all []string
	for _, family := range []string{"-4", "-6"} {
		out, err := output(ns, "link show\naddr show\nroute show table all\nrule show\n", "ip", "-o", family, "-batch", "-")
		if err != nil {
			return nil, err
		}
		neighbours, err := output(ns, "", "ip", family, "neigh", "show", "nud", "all")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(neighbours) {
			if strings.Contains(line, " dev lo ") || unsteady != "" && strings.Contains(line, " dev "+unsteady+" ") {
				continue
			}
			all = append(all, "neighbour "+line)
		}
		all = slices.AppendSeq(all, strings.Lines(out))
	}
	rules, err := output(ns, "", "nft", "list", "ruleset")
	if err != nil {
		return nil, err
	}
	all = slices.AppendSeq(all, strings.Lines(rules))
	err = ns.Inside(func() error {
		folders, err := filepath.Glob("/proc/sys/net/ipv[46]/[cn]*/*")
		all = append(all, folders...)
		return err
	})
	all = slices.DeleteFunc(all, func(line string) bool { return strings.Contains(line, uplink) })
	slices.Sort(all)
	return all, err
}

// held is the store as the file has it, read by other eyes than the plugin's.
type held struct {
	Allocations []struct {
		Address     netip.Addr
		ContainerID string
		HostVeth    string
	}
}

func (n *node) held() (held, error) {
	var h held
	data, err := os.ReadFile(filepath.Join(n.storeDir(), "state.json"))
	if err == nil {
		err = json.Unmarshal(data, &h)
	}
	return h, err
}

// sound is what must hold at any time, whoever died: the store can be read and
// locked, no address has two holders in it, and each address that the kernel
// routes to a pod is held by that very pod.
func (n *node) sound() error {
	h, err := n.held()
	if err != nil {
		return fmt.Errorf("the store: %w", err)
	}
	var errs []error
	holders := map[netip.Addr]string{}
	for _, a := range h.Allocations {
		if _, twice := holders[a.Address]; twice {
			errs = append(errs, fmt.Errorf("%s has two holders", a.Address))
		}
		holders[a.Address] = a.HostVeth
	}
	routes, err := n.podRoutes()
	for address, veth := range routes {
		if holders[address] != veth {
			errs = append(errs, fmt.Errorf("%s is routed to %s, the store says %q", address, veth, holders[address]))
		}
	}
	return errors.Join(append(errs, err, n.unlocked())...)
}

// podRoutes are the links of addresses as ip(8) tells them.
func (n *node) podRoutes() (map[netip.Addr]string, error) {
	routes := map[netip.Addr]string{}
	for _, family := range []string{"-4", "-6"} {
		out, err := output(n.ns, "", "ip", family, "-json", "route", "show", "proto", "171")
		if err != nil {
			return nil, err
		}
		var list []struct {
			Dst netip.Addr
			Dev string
		}
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			return nil, fmt.Errorf("routes: %w: %s", err, out)
		}
		for _, r := range list {
			routes[r.Dst] = r.Dev
		}
	}
	return routes, nil
}

func (n *node) unlocked() error {
	f, err := os.Open(filepath.Join(n.storeDir(), "lock"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("the store is locked by the dead: %w", err)
	}
	return nil
}

// searchLeaks does what the agent does at each of its turns, as if it were that time.
func (n *node) searchLeaks(asOf store.Stamp) (freed []store.Allocation, err error) {
	live, err := n.podLinks()
	if err != nil {
		return nil, err
	}
	err = n.update(func(s *store.State) {
		freed = append(s.ReleaseLeaks(live, asOf, store.LeakGrace), s.ReleaseGone(store.Look(s.NamespacePaths()), asOf)...)
	})
	return freed, err
}

func (n *node) podLinks() (names []string, err error) {
	err = n.ns.Inside(func() error {
		c, err := link.Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		names, err = c.Pods()
		return err
	})
	return names, err
}
