package cluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

//go:embed machine.sh
var machineScript string

// enterCgroups runs what stands after -- from inside the cgroups whose files stand before.
const enterCgroups = `while [ "$1" != -- ]; do echo $$ >"$1" || exit; shift; done; shift; exec "$@"`

// Machine is a node with namespaces, a disk and services of its own.
type Machine struct {
	Name    string
	cluster *Cluster
}

// Machine is a machine by name. If there is none of that name, everything asked
// of it is an error.
func (c *Cluster) Machine(name string) *Machine { return &Machine{Name: name, cluster: c} }

// Machines of all racks, in order.
func (c *Cluster) Machines() []*Machine {
	var all []*Machine
	for _, n := range c.Topology().Nodes() {
		all = append(all, c.Machine(n.Name))
	}
	return all
}

func (c *Cluster) home(node string) string { return filepath.Join(c.Dir(), "nodes", node) }

// Disk is where the host sees what the machine keeps at a path of its own, one
// that it shares with nobody: below /var/lib/{kubelet,containerd,cni,fairlead},
// /var/log/{pods,containers}, /etc/{kubernetes,containerd,cni/net.d} or /opt/cni/bin.
func (m *Machine) Disk(path string) string {
	return filepath.Join(m.cluster.home(m.Name), "disk", path)
}

// start boots the machine and starts its services.
func (m *Machine) start(ctx context.Context) error {
	if _, err := os.Stat(m.Disk("var/lib/containerd")); errors.Is(err, os.ErrNotExist) {
		if err := m.install(ctx); err != nil {
			return err
		}
	}
	if err := m.boot(ctx); err != nil {
		return err
	}
	for _, s := range m.services() {
		if err := s.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// install fills the disk of a machine that never ran.
func (m *Machine) install(ctx context.Context) error {
	if err := m.cluster.giveImages(ctx, m.Name); err != nil {
		return err
	}
	return m.configure()
}

// boot starts the machine's first process and waits until it has its furniture.
func (m *Machine) boot(ctx context.Context) error {
	doors, err := m.makeCgroups()
	if err != nil {
		return err
	}
	script := filepath.Join(m.cluster.Dir(), "machine.sh")
	if err := os.WriteFile(script, []byte(machineScript), 0o600); err != nil {
		return fmt.Errorf("boot %s: %w", m.Name, err)
	}
	argv := []string{
		"unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private", "--",
		"sh", script, m.Name, m.cluster.home(m.Name), m.cluster.bin,
	}
	argv = append([]string{"--"}, m.cluster.EnterCommand(m.Name, argv...)...)
	argv = append(append([]string{"sh", "-c", enterCgroups, "sh"}, doors...), argv...)
	// unshare lets no signal through but its own end.
	p := &lab.Process{Name: m.Name, Argv: argv, Deaf: true}
	if err := m.cluster.Launch(p); err != nil {
		return fmt.Errorf("boot %s: %w", m.Name, err)
	}
	return m.cluster.eventually(ctx, "furniture of machine "+m.Name, func(context.Context) error {
		if !p.Running() {
			return fmt.Errorf("%s ended:\n%s", p.Name, p.Tail())
		}
		pid, err := m.pid()
		if err != nil {
			return err
		}
		_, err = os.Stat(fmt.Sprintf("/proc/%d/root/run/furnished", pid))
		return err
	})
}

// Running says whether the machine has power.
func (m *Machine) Running() bool {
	p, err := m.cluster.Process(m.Name)
	return err == nil && p.Running()
}

// pid of the machine's first process, as the host numbers it: the one child of
// the process that holds the machine.
func (m *Machine) pid() (int, error) {
	p, err := m.cluster.Process(m.Name)
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.Pid))
	if err != nil {
		return 0, fmt.Errorf("machine %s is off: %w", m.Name, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("machine %s has no first process: %w", m.Name, err)
	}
	return pid, nil
}

// Command is the command line that runs argv on the machine.
func (m *Machine) Command(argv ...string) ([]string, error) {
	pid, err := m.pid()
	if err != nil {
		return nil, err
	}
	return append([]string{"nsenter", "--target", strconv.Itoa(pid), "--mount", "--pid", "--uts", "--ipc", "--net", "--"}, argv...), nil
}

// Exec runs a short command on the machine and returns its standard output.
func (m *Machine) Exec(ctx context.Context, argv ...string) (string, error) {
	line, err := m.Command(argv...)
	if err != nil {
		return "", err
	}
	return execute(ctx, nil, line...)
}

// Addresses of the machine in its rack, of the cluster's first family first.
func (m *Machine) Addresses() []netip.Addr {
	var addresses []netip.Addr
	for _, f := range m.cluster.Topology().Families() {
		addresses = append(addresses, m.cluster.Node(m.Name).Address(f))
	}
	return addresses
}

// Address of the machine in its rack.
func (m *Machine) Address(f topology.Family) netip.Addr { return m.cluster.Node(m.Name).Address(f) }
