package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab"
)

// Services of a machine, by which Service finds them.
const (
	Containerd = "containerd"
	Kubelet    = "kubelet"
	KubeProxy  = "kube-proxy"
)

// services in the order of their start.
func services() []string { return []string{Containerd, Kubelet, KubeProxy} }

// service is a program that a machine runs from its start on.
type service struct {
	machine *Machine
	name    string
	argv    []string
	// ready says whether those that need it may start. nil: at once.
	ready func(context.Context) error
}

func (m *Machine) services() []service {
	return []service{
		{m, Containerd, []string{"containerd"}, func(ctx context.Context) error {
			_, err := m.Exec(ctx, "ctr", "version")
			return err
		}},
		{m, Kubelet, m.kubelet(), nil},
		{m, KubeProxy, []string{"/opt/programs/kube-proxy", "--config=/etc/kubernetes/kube-proxy.yaml"}, nil},
	}
}

func (m *Machine) kubelet() []string {
	rack, _, _ := m.cluster.Topology().Node(m.Name)
	argv := []string{
		"/opt/programs/kubelet", "--config=/etc/kubernetes/kubelet.yaml", "--kubeconfig=/etc/kubernetes/kubelet.kubeconfig",
		"--hostname-override=" + m.Name, "--node-labels=" + lab.RackLabel + "=" + rack.Name,
	}
	if m.cluster.opts.StartupTaint {
		argv = append(argv, "--register-with-taints="+v1alpha1.AgentNotReadyTaint+"=:NoSchedule")
	}
	if m.cluster.opts.LateAddresses {
		return append(argv, "--cloud-provider=external")
	}
	return append(argv, "--node-ip="+join(m.Addresses()))
}

// Service is the process of one of the machine's services, to kill, stop and start.
func (m *Machine) Service(name string) (*lab.Process, error) {
	return m.cluster.Process(m.Name + "-" + name)
}

func (s service) start(ctx context.Context) error {
	doors, err := s.machine.makeCgroups()
	if err != nil {
		return err
	}
	// The service ends with the process that the lab knows, which waits outside.
	line, err := s.machine.Command(append([]string{"setpriv", "--pdeathsig", "KILL", "--"}, s.argv...)...)
	if err != nil {
		return err
	}
	argv := append(append([]string{"sh", "-c", enterCgroups, "sh"}, doors...), "--")
	p := &lab.Process{Name: s.machine.Name + "-" + s.name, Argv: append(argv, line...)}
	if err := s.machine.cluster.Launch(p); err != nil {
		return err
	}
	if s.ready == nil {
		return nil
	}
	return s.machine.cluster.eventually(ctx, s.name+" of "+s.machine.Name, s.ready)
}

// configure writes what the services read, and the identities by which kubelet
// and kube-proxy are known.
func (m *Machine) configure() error {
	c, plane := m.cluster, m.cluster.ControlPlane()
	etc := m.Disk("etc/kubernetes")
	if err := os.MkdirAll(filepath.Join(etc, "manifests"), 0o755); err != nil {
		return fmt.Errorf("configure %s: %w", m.Name, err)
	}
	for file, content := range map[string]string{
		"etc/kubernetes/kubelet.yaml":    fmt.Sprintf(kubeletConfig, m.cgroup(), c.dnsAddress()),
		"etc/kubernetes/kube-proxy.yaml": c.proxyConfig(m.Name),
		"etc/kubernetes/ca.crt":          string(plane.CA()),
		"etc/containerd/config.toml":     containerdConfig,
	} {
		if err := writeFile(m.Disk(file), content); err != nil {
			return fmt.Errorf("configure %s: %w", m.Name, err)
		}
	}
	for file, who := range map[string][]string{
		"kubelet.kubeconfig":    {"system:node:" + m.Name, "system:nodes"},
		"kube-proxy.kubeconfig": {"system:kube-proxy"},
	} {
		cfg, err := plane.ConfigFor(who[0], who[1:]...)
		if err != nil {
			return fmt.Errorf("configure %s: %w", m.Name, err)
		}
		if err := plane.WriteKubeconfig(filepath.Join(etc, file), cfg); err != nil {
			return err
		}
	}
	return installPlugins(m.Disk("opt/cni/bin"))
}

// installPlugins gives the machine the one plugin that container runtimes bring:
// containerd wires loopback by it.
func installPlugins(to string) error {
	const loopback = "/usr/lib/cni/loopback"
	data, err := os.ReadFile(loopback)
	if err != nil {
		return fmt.Errorf("install the loopback plugin: %w", err)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("install the loopback plugin: %w", err)
	}
	return os.WriteFile(filepath.Join(to, filepath.Base(loopback)), data, 0o755)
}

func writeFile(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o600)
}
