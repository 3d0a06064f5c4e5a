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

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/link"
	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/fault"
)

// plugin is the program under test, built once.
var plugin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
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
		return m.Run()
	}())
}

// Blocks of a node, with room for all that a test starts at once.
var (
	block4 = netip.MustParsePrefix("10.77.0.0/22")
	block6 = netip.MustParsePrefix("fd77::/118")
)

func leases() []store.Lease {
	return []store.Lease{{CIDR: block4, UID: "b4", Pool: "test"}, {CIDR: block6, UID: "b6", Pool: "test"}}
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
	n := &node{ns: nstest.New(t, "node"), runDir: t.TempDir()}
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
	now, err := store.Now()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Create(n.storeDir(), nil, now); err != nil {
		t.Fatal(err)
	}
	if err := n.update(func(s *store.State) { s.SetLeases(leases()) }); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) storeDir() string { return filepath.Join(n.runDir, store.Name) }

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
}

// newPod makes a pod of the network whose attachments the test is about.
func newPod() (pod, error) {
	ns, release, err := nstest.Make("pod")
	return pod{ns: ns, release: release, id: "id-" + ns.Name, network: "tested"}, err
}

// call is the plugin with a verb about a pod, as a runtime runs it.
func (n *node) call(verb string, p pod) fault.Command {
	return fault.Command{
		Path: plugin, Stdin: n.conf(p.network, ""),
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "CNI_PATH=" + filepath.Dir(plugin), "CNI_COMMAND=" + verb, "CNI_CONTAINERID=" + p.id,
			"CNI_NETNS=" + p.ns.Path(), "CNI_IFNAME=eth0", "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=" + p.id,
		},
	}
}

func (n *node) conf(network, more string) string {
	return fmt.Sprintf(`{"cniVersion":"1.1.0","name":%q,"type":"fairlead","runDir":%q%s}`, network, n.runDir, more)
}

// gc is GC of the tested network, in which no attachment is valid.
func (n *node) gc() fault.Command {
	return fault.Command{
		Path: plugin, Stdin: n.conf("tested", `,"cni.dev/valid-attachments":[]`),
		Env: []string{"PATH=" + os.Getenv("PATH"), "CNI_PATH=" + filepath.Dir(plugin), "CNI_COMMAND=GC"},
	}
}

// run runs a call to its end with nobody watching.
func (n *node) run(c fault.Command) (types100Result, error) {
	var result types100Result
	err := n.ns.Inside(func() (err error) { result, err = execute(c); return err })
	return result, err
}

// types100Result is what the test needs to know of a result.
type types100Result struct {
	IPs []struct{ Address netip.Prefix }
}

// execute runs a call where the calling thread is.
func execute(c fault.Command) (result types100Result, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, strings.NewReader(c.Stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		failure := &types.Error{}
		if json.Unmarshal(stdout.Bytes(), failure) == nil && failure.Code != 0 {
			return result, failure
		}
		return result, fmt.Errorf("%w: no CNI error on standard output: %q, standard error: %q", err, &stdout, &stderr)
	}
	if stdout.Len() > 0 {
		err = json.Unmarshal(stdout.Bytes(), &result)
	}
	return result, err
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
	for family, neighbours := range map[string]string{"-4": "", "-6": ""} {
		out, err := output(ns, "link show\naddr show\nroute show table all\nrule show\n", "ip", "-o", family, "-batch", "-")
		if err != nil {
			return nil, err
		}
		neighbours, err = output(ns, "", "ip", family, "neigh", "show", "nud", "all")
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
		if holders[a.Address] != "" {
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

// searchLeaks does what the agent does at each of its turns, at that time from now.
func (n *node) searchLeaks(later store.Stamp) (freed []store.Allocation, err error) {
	live, err := n.podLinks()
	if err != nil {
		return nil, err
	}
	err = n.update(func(s *store.State) { freed = s.ReleaseLeaks(live, later, store.LeakGrace) })
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
