package kube

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// Bounds of starting and stopping, for a machine that is busy with builds.
const (
	readyTimeout   = 90 * time.Second
	apiServerGrace = 15 * time.Second
	etcdGrace      = 5 * time.Second
	pollInterval   = 25 * time.Millisecond
)

// namespacedPort is the API server's port where the namespace is its own.
const namespacedPort = 6443

// Options of a control plane.
type Options struct {
	// Dir holds everything: certificates, data, logs, state. It is made if
	// needed, and must not hold a control plane already. The caller removes it.
	Dir string
	// NetNS is the path of the network namespace to run in, with port 6443.
	// Default: the caller's own, with a free port.
	NetNS string
	// Address is listened on and advertised. Default 127.0.0.1.
	Address netip.Addr
	// OneFamily gives Services addresses of Address's family alone. Default: both,
	// Address's first.
	OneFamily bool
	// Instance names the control plane, for people. Default: Dir's last element.
	Instance string
	// Detach lets the processes outlive this one, for Attach. Otherwise the
	// kernel ends them when this process ends, however it does.
	Detach bool
	// Bin is the folder of the programs. Default: what BinDir finds.
	Bin string
	// Managers is the folder of kube-controller-manager and kube-scheduler, which
	// then run as well. Default: they do not.
	Managers string
	// ManagerArgs are appended to kube-controller-manager's command line.
	ManagerArgs []string
}

// ControlPlane is a running etcd and kube-apiserver. What starts and stops them
// is not to be called side by side with anything else; the rest may be.
type ControlPlane struct {
	dir   string
	state state
	ca    *authority
	admin pair
	port  *reservation
}

// Start returns when the API server is ready. On error nothing is left running.
func Start(ctx context.Context, opts Options) (*ControlPlane, error) {
	c, err := prepare(ctx, opts)
	if err != nil {
		return nil, err
	}
	err = c.StartEtcd(ctx)
	if err == nil {
		err = c.StartAPIServer(ctx)
	}
	if err == nil {
		err = c.startManagers()
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// Attach takes over a control plane that another process started in dir with
// Detach, running or not.
func Attach(dir string) (*ControlPlane, error) {
	s, err := loadState(dir)
	if err != nil {
		return nil, err
	}
	ca, err := loadAuthority(filepath.Join(dir, "pki"))
	if err != nil {
		return nil, err
	}
	return newControlPlane(dir, s, ca)
}

// Stop ends the managers, the API server, then etcd, and releases what is held for them. The
// folder stays, without its state. Stopping twice is no error.
func (c *ControlPlane) Stop() error {
	err := errors.Join(c.stopManagers(), c.StopAPIServer(), c.state.Etcd.stop(etcdGrace))
	c.port.release()
	c.port = nil
	if err != nil {
		return err // the state stays, for another try
	}
	if err := os.Remove(filepath.Join(c.dir, stateFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove state: %w", err)
	}
	return nil
}

// Dir is the control plane's folder.
func (c *ControlPlane) Dir() string { return c.dir }

// Instance is the control plane's name.
func (c *ControlPlane) Instance() string { return c.state.Instance }

// URL of the API server.
func (c *ControlPlane) URL() string {
	return "https://" + netip.AddrPortFrom(c.state.Address, c.state.Port).String()
}

// Kubectl is the path of a kubectl of the API server's version.
func (c *ControlPlane) Kubectl() string { return filepath.Join(c.state.Bin, "kubectl") }

// PIDs returns the pids of the processes that run now, by program name.
func (c *ControlPlane) PIDs() map[string]int {
	pids := map[string]int{}
	for name, p := range map[string]*process{
		"etcd": c.state.Etcd, "kube-apiserver": c.state.APIServer,
		controllerManager: c.state.ControllerManager, scheduler: c.state.Scheduler,
	} {
		if p.alive() {
			pids[name] = p.PID
		}
	}
	return pids
}

// prepare makes the folder, the certificates and the port.
func prepare(ctx context.Context, opts Options) (*ControlPlane, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("make control plane folder: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, stateFile)); err == nil {
		return nil, fmt.Errorf("folder %s holds a control plane already", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make control plane folder: %w", err)
	}
	s := state{
		NetNS: opts.NetNS, Address: opts.Address, Instance: opts.Instance, Detach: opts.Detach,
		OneFamily: opts.OneFamily, Bin: opts.Bin, Managers: opts.Managers, ManagerArgs: opts.ManagerArgs,
	}
	if s.Instance == "" {
		s.Instance = filepath.Base(dir)
	}
	if !s.Address.IsValid() {
		s.Address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if s.Bin == "" {
		if s.Bin, err = BinDir(ctx); err != nil {
			return nil, err
		}
	}
	ca, err := newAuthority(filepath.Join(dir, "pki"), s.Address, netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback(), serviceAddress(s.Address))
	if err != nil {
		return nil, err
	}
	c, err := newControlPlane(dir, s, ca)
	if err != nil {
		return nil, err
	}
	return c, c.choosePort()
}

func newControlPlane(dir string, s state, ca *authority) (*ControlPlane, error) {
	admin, err := ca.client("fairlead-lab-admin", []string{mastersGroup})
	if err != nil {
		return nil, err
	}
	return &ControlPlane{dir: dir, state: s, ca: ca, admin: admin}, nil
}

func (c *ControlPlane) choosePort() error {
	if c.state.NetNS != "" {
		c.state.Port = namespacedPort
		return nil
	}
	port, err := reserve(c.state.Address)
	if err != nil {
		return err
	}
	c.port, c.state.Port = port, port.port
	return nil
}
