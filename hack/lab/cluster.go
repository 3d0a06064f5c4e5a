package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/config"
	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/topology"
)

// BinEnv names the folder of Fairlead's programs.
const BinEnv = "FAIRLEAD_BIN"

// Fairlead's programs. Those that the lab starts must be there.
const (
	programController = "fairlead-controller"
	programAgent      = "fairlead-agent"
	programPlugin     = "fairlead-cni"
	programPortmap    = "fairlead-portmap"
	programBandwidth  = "fairlead-bandwidth"
	programCLI        = "fairlead"
)

func programs() []string {
	return []string{programController, programAgent, programPlugin, programPortmap, programBandwidth, programCLI}
}

// controllerProcess is the controller's name among the lab's processes.
const controllerProcess = "controller"

// cluster is the Kubernetes side of a lab.
type cluster struct {
	plane  *kube.ControlPlane
	client client.Client
}

// findBin finds the folder of Fairlead's programs and says what is missing in it.
func findBin(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv(BinEnv)
	}
	if dir == "" {
		root, err := kube.Tree()
		if err != nil {
			return "", fmt.Errorf("find Fairlead's programs: %w; set %s", err, BinEnv)
		}
		dir = filepath.Join(root, "bin")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find Fairlead's programs: %w", err)
	}
	for _, name := range programs() {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("find Fairlead's programs (make build makes them): %w", err)
		}
	}
	return dir, nil
}

// startCluster starts the API server, then everything that needs it at once.
func (l *Lab) startCluster(ctx context.Context) error {
	topo := l.Topology()
	if err := l.StartControlPlane(ctx, kube.Options{}); err != nil {
		return err
	}
	if err := l.phase("install", func() error { return kube.Install(ctx, l.AdminConfig()) }); err != nil {
		return err
	}
	return l.phase("fairlead started", func() error {
		// Before the agents: one that misses a Secret asks again only after seconds.
		if err := l.createObjects(ctx, topo); err != nil {
			return err
		}
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return l.startController(ctx) })
		for _, n := range topo.Nodes() {
			g.Go(func() error { return l.startNode(ctx, n.Name) })
		}
		return g.Wait()
	})
}

// StartControlPlane starts etcd, the API server and what else opts names, in the
// control plane's namespace; the lab says where everything goes.
func (l *Lab) StartControlPlane(ctx context.Context, opts kube.Options) error {
	opts.Dir, opts.NetNS = l.path("kube"), nsPath(l.NSName(topology.RoleControlPlane))
	opts.Address, opts.Instance, opts.Detach = l.Topology().ControlPlane(), l.Instance, l.opts.Detach
	return l.phase("api server", func() error {
		plane, err := kube.Start(ctx, opts)
		if err != nil {
			return err
		}
		return l.setCluster(plane)
	})
}

// setCluster is called before anything else uses the cluster.
func (l *Lab) setCluster(plane *kube.ControlPlane) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("make the admin's client: %w", err)
	}
	// Without a logger controller-runtime complains on stderr after 30 s.
	log.SetLogger(logr.FromSlogHandler(l.log.Handler()))
	l.cluster = &cluster{plane: plane}
	c, err := client.New(plane.AdminConfig(), client.Options{Scheme: scheme, Mapper: mapper()})
	if err != nil {
		return errors.Join(fmt.Errorf("make the admin's client: %w", err), plane.Stop())
	}
	l.cluster.client = c
	return plane.WriteKubeconfig(l.AdminKubeconfig(), plane.AdminConfig())
}

// attachCluster takes over the cluster of a lab that another process brought up.
// A lab whose start was cut short may have none.
func (l *Lab) attachCluster() error {
	plane, err := kube.Attach(l.path("kube"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("attach to the control plane: %w", err)
	}
	return l.setCluster(plane)
}

func (l *Lab) stopCluster() error {
	if l.cluster == nil {
		return nil
	}
	return l.cluster.plane.Stop()
}

// HasCluster says whether there is a Kubernetes in the lab.
func (l *Lab) HasCluster() bool { return l.cluster != nil }

// Client is the cluster admin's client, which knows corev1 and Fairlead's kinds.
// It works from the host's namespace.
func (l *Lab) Client() client.Client { return l.cluster.client }

// AdminConfig is the cluster admin's configuration for other kinds of clients.
func (l *Lab) AdminConfig() *rest.Config { return l.cluster.plane.AdminConfig() }

// ControlPlane is the running etcd and API server, to stop and start.
func (l *Lab) ControlPlane() *kube.ControlPlane { return l.cluster.plane }

// AdminKubeconfig is a file that works inside the control plane's namespace.
func (l *Lab) AdminKubeconfig() string { return l.path("admin.kubeconfig") }

// Kubectl runs kubectl as the cluster admin.
func (l *Lab) Kubectl(ctx context.Context, args ...string) (string, error) {
	return l.Exec(ctx, topology.RoleControlPlane, l.KubectlCommand(args...)...)
}

// KubectlCommand is the command line of a kubectl inside the control plane's namespace.
func (l *Lab) KubectlCommand(args ...string) []string {
	return append([]string{l.cluster.plane.Kubectl(), "--kubeconfig", l.AdminKubeconfig()}, args...)
}

// FairleadCommand is the command line of Fairlead's CLI inside the control plane's namespace.
func (l *Lab) FairleadCommand(args ...string) []string {
	return append([]string{l.program(programCLI), "--kubeconfig", l.AdminKubeconfig()}, args...)
}

func (l *Lab) program(name string) string { return filepath.Join(l.opts.Bin, name) }

func (l *Lab) startController(ctx context.Context) error {
	kubeconfig := l.path("controller.kubeconfig")
	if err := l.writeTokenConfig(ctx, kubeconfig, programController, ""); err != nil {
		return err
	}
	_, err := l.startReplica(controllerProcess, "127.0.0.1:9473", "127.0.0.1:9472")
	return err
}

// AddController starts one more replica of the controller.
func (l *Lab) AddController(name string) (*Process, error) { return l.startReplica(name, "", "") }

// RemoveController ends a replica that AddController started, as a Deployment
// that is scaled down would.
func (l *Lab) RemoveController(ctx context.Context, p *Process) error {
	return errors.Join(p.Stop(ctx), l.processes.forget(p))
}

func (l *Lab) startReplica(name, health, metrics string) (*Process, error) {
	argv := append([]string{
		l.program(programController), "--kubeconfig", l.path("controller.kubeconfig"),
		"--health-address", health, "--metrics-address", metrics,
	}, l.opts.ControllerArgs...)
	return l.processes.start(name, nil, enter(l.NSName(topology.RoleControlPlane), argv...)...)
}

// Controller is the controller's process.
func (l *Lab) Controller() (*Process, error) { return l.processes.get(controllerProcess) }

// writeTokenConfig writes the kubeconfig of a ServiceAccount of Fairlead's, with
// a token bound to a node unless that is "".
func (l *Lab) writeTokenConfig(ctx context.Context, path, account, node string) error {
	token, err := l.cluster.plane.TokenFor(ctx, config.DefaultNamespace, account, node)
	if err != nil {
		return err
	}
	return l.cluster.plane.WriteKubeconfig(path, l.cluster.plane.TokenConfig(token))
}
