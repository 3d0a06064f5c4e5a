package kube

import (
	"errors"
	"path/filepath"
	"time"
)

// The programs that make a cluster of what the API server holds.
const (
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
)

const managerGrace = 5 * time.Second

// startManagers starts the controller manager and the scheduler, if they are
// wanted, each with an identity of its own, which the API server's own roles know.
// They wait for whatever is not there yet, and live on while the API server is away.
func (c *ControlPlane) startManagers() error {
	if c.state.Managers == "" {
		return nil
	}
	pki := func(name string) string { return filepath.Join(c.dir, "pki", name) }
	var err error
	c.state.ControllerManager, err = c.startManager(controllerManager, append([]string{
		"--root-ca-file=" + pki(caCertFile),
		"--service-account-private-key-file=" + pki(tokenKeyFile),
		"--use-service-account-credentials",
		"--cluster-signing-cert-file=" + pki(caCertFile),
		"--cluster-signing-key-file=" + pki(caKeyFile),
	}, c.state.ManagerArgs...)...)
	if err != nil {
		return err
	}
	if c.state.Scheduler, err = c.startManager(scheduler); err != nil {
		return err
	}
	return c.state.save(c.dir)
}

func (c *ControlPlane) startManager(name string, args ...string) (*process, error) {
	cfg, err := c.ConfigFor("system:" + name)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(c.dir, name+".kubeconfig")
	if err := c.WriteKubeconfig(kubeconfig, cfg); err != nil {
		return nil, err
	}
	run := c.program(name, append([]string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		"--leader-elect=false", // there is one, and it is to outlive an outage of the API
	}, args...)...)
	run.path = filepath.Join(c.state.Managers, name)
	return spawn(run)
}

// stopManagers ends them before the API server goes: they would otherwise spend
// their last seconds on asking it.
func (c *ControlPlane) stopManagers() error {
	return errors.Join(c.state.Scheduler.stop(managerGrace), c.state.ControllerManager.stop(managerGrace))
}
