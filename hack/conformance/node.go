package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"fairlead.dev/dataplane/nstest"
)

// network is the name of the network that trials are about.
const network = "conformance"

// uplink starts the names of links that are no container's.
const uplink = "uplink"

// node is a machine: a namespace with an uplink, where a plugin is ready to work.
type node struct {
	t  *Trial
	ns nstest.NS
	// state is the folder of the plugin's state, and cache the library's.
	state, cache string
	// conf is the plugin's part of the configuration.
	conf map[string]any
}

// node makes one with blocks of that size.
func (t *Trial) node(size Size) *node {
	ns, release, err := nstest.Make("node")
	t.must(err)
	t.atEnd = append(t.atEnd, release)
	n := &node{t: t, ns: ns, state: filepath.Join(t.scratch, "state"), cache: filepath.Join(t.scratch, "cache")}
	t.must(os.MkdirAll(n.state, 0o700))
	_, err = n.run("", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.default.accept_dad=0")
	t.must(err)
	n.ip(
		"link set lo up",
		"link add uplink0 type veth peer name uplink1",
		"addr add 192.0.2.1/24 dev uplink0",
		"addr add 2001:db8::1/64 dev uplink0 nodad",
		"link set uplink1 up",
		"link set uplink0 up",
		"route add default via 192.0.2.254",
		"route add default via 2001:db8::fe",
	)
	n.conf, err = t.plugin.Configure(n.state, size)
	t.must(err)
	return n
}

// ip runs commands of ip(8) on the node.
func (n *node) ip(commands ...string) { ip(n.t, n.ns, commands...) }

func ip(t *Trial, ns nstest.NS, commands ...string) {
	_, err := run(ns, strings.Join(commands, "\n"), "ip", "-batch", "-")
	t.must(err)
}

func (n *node) run(stdin, name string, args ...string) (string, error) {
	return run(n.ns, stdin, name, args...)
}

// run runs a command inside a namespace.
func run(ns nstest.NS, stdin, name string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), callBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := ns.Inside(cmd.Run); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, stdin, &stderr)
	}
	return stdout.String(), nil
}

// config is the configuration as a runtime passes it to the plugin.
func (n *node) config() map[string]any {
	conf := maps.Clone(n.conf)
	conf["cniVersion"], conf["name"] = n.t.version, network
	return conf
}

func (n *node) configJSON() string {
	data, err := json.Marshal(n.config())
	n.t.must(err)
	return string(data)
}

// call executes the plugin with a verb that is about no container.
func (n *node) call(verb string, changes ...change) Answer {
	c := call{env: map[string]string{"CNI_COMMAND": verb, "CNI_PATH": n.t.plugin.Dir}, conf: n.config()}
	return n.do(verb, c, changes)
}

func (n *node) do(what string, c call, changes []change) Answer {
	for _, change := range changes {
		change(&c)
	}
	a := c.do(n.ns, n.t.plugin.program())
	n.t.noteAnswer(what, a)
	return a
}

func (t *Trial) noteAnswer(what string, a Answer) {
	t.note("%s: status %d, %v\nstdout: %s\nstderr: %s", what, a.Status, a.Err, strings.TrimSpace(a.Stdout), strings.TrimSpace(a.Stderr))
}

// forget removes the plugin's state, as a reboot or an operator does.
func (n *node) forget() { n.t.must(os.RemoveAll(n.state)) }

// stored is the plugin's state, a line for each file.
func (n *node) stored() []string {
	var lines []string
	err := filepath.WalkDir(n.state, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || d.IsDir():
			return err
		}
		data, err := os.ReadFile(path)
		lines = append(lines, fmt.Sprintf("%s: %s", path, data))
		return err
	})
	n.t.must(err)
	return lines
}

// occupy routes every address that the plugin has to give, so that no ADD can.
func (n *node) occupy() { n.ip(n.routes("replace")...) }

// vacate takes the routes of occupy away.
func (n *node) vacate() { n.ip(n.routes("del")...) }

func (n *node) routes(do string) []string {
	var commands []string
	for i := range 8 { // the blocks of a small node, of each plugin
		commands = append(commands,
			fmt.Sprintf("route %s %s/32 dev lo scope link", do, nth(subnet4, i)), fmt.Sprintf("route %s %s/128 dev lo", do, nth(subnet6, i)))
	}
	return commands
}

// room attaches fresh containers until that fails, and returns how many were.
func (n *node) room() int {
	for free := 0; ; free++ {
		if free > int(Small) {
			n.t.fail("more containers get addresses than there are")
		}
		if a := n.container().call("ADD"); a.Status != 0 || a.Err != nil {
			n.t.ended(a, "ADD on a full node")
			return free
		}
	}
}

// hasRoom fails if not exactly so many containers more can be attached.
func (n *node) hasRoom(want int) {
	switch got := n.room(); {
	case got < want:
		n.t.fail("addresses are lost: of %d that are free %d are given", want, got)
	case got > want:
		n.t.fail("addresses in use are given again")
	}
}

// readJSON runs a command that prints JSON.
func readJSON(t *Trial, ns nstest.NS, into any, args ...string) {
	out, err := run(ns, "", "ip", args...)
	t.must(err)
	if strings.TrimSpace(out) == "" {
		out = "[]" // ip(8) prints nothing for an empty list
	}
	t.must(json.Unmarshal([]byte(out), into))
}
