// Package lab is a whole data centre on one machine: nodes, ToRs and spines are
// network namespaces, the routers run FRR and BIRD, the Kubernetes API server and
// Fairlead's programs are the real ones. The lab itself plays the parts that are
// nobody's program: the operator who cables and configures the routers and creates
// pools and peers, the kubelet that creates Nodes, the container runtime that
// calls the CNI plugin.
//
// Invariants: nothing of a lab touches the host's own network namespace; all that
// an instance has is named after it, so that several run side by side; Down
// removes all of it, whatever state it is in. The lab ends only processes that it
// started, or that run inside its namespaces.
package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/hack/lab/topology"
)

// Options of a lab. The zero value is a random instance of the default topology.
type Options struct {
	// Instance names the lab, 1 to 12 of a-z and 0-9. Default: random.
	Instance string `json:"instance"`
	// Topology of the data centre. Default: topology.Default().
	Topology *topology.Topology `json:"-"`
	// Bin is the folder of Fairlead's programs. Default: BinEnv, then bin in the
	// folder of go.mod above the working directory.
	Bin string `json:"bin"`
	// NetworkOnly brings up namespaces and routers, and no Kubernetes or Fairlead.
	NetworkOnly bool `json:"networkOnly"`
	// Beside runs once the network is laid, beside the start of the routers, and is
	// part of Up: its error ends the lab. It is for who brings a cluster of another
	// kind, with NetworkOnly.
	Beside func(context.Context, *Lab) error `json:"-"`
	// Detach lets everything outlive this process, for Open.
	Detach bool `json:"detach"`
	// ControllerArgs and AgentArgs are appended to the programs' command lines.
	ControllerArgs []string `json:"controllerArgs"`
	AgentArgs      []string `json:"agentArgs"`
	// NoWait lets Up return before the routers have every node's blocks.
	NoWait bool `json:"-"`
	// Diagnosis is where Up writes the lab's state before it takes down what it
	// could not bring up. Default: nowhere.
	Diagnosis io.Writer `json:"-"`
	// Log receives what happens. Default: nothing.
	Log *slog.Logger `json:"-"`
	// OnPhase is told the end of each phase of Up and how long it took; phases
	// overlap, and it may be called from several goroutines, one at a time.
	OnPhase func(phase string, took time.Duration) `json:"-"`
}

// Lab is a data centre that is up. Its methods may be called from several goroutines.
type Lab struct {
	Instance string

	dir       string
	opts      Options
	log       *slog.Logger
	processes *supervisor
	cluster   *cluster // nil without Kubernetes

	// owner is the process that brought the lab up, ownerBorn its start time.
	owner     int
	ownerBorn uint64

	mu      sync.Mutex // guards topo, pods, and the state file
	topo    topology.Topology
	pods    []Pod
	phaseMu sync.Mutex
}

// instanceForm leaves room for the longest role in a namespace's file name and
// for sockets in sun_path (108 bytes).
var instanceForm = regexp.MustCompile(`^[a-z0-9]{1,12}$`)

// Up brings a lab up and returns when every router holds every node's blocks.
// On error, a cancelled ctx included, nothing of it is left.
func Up(ctx context.Context, opts Options) (*Lab, error) {
	l, err := newLab(opts)
	if err != nil {
		return nil, err
	}
	if err := sweep(ctx, l.log); err != nil {
		l.log.Warn("labs of killed processes are left", "err", err)
	}
	if err := l.claimOwnership(); err != nil {
		return nil, fmt.Errorf("bring lab %s up: %w", l.Instance, err)
	}
	if err := l.makeDir(); err != nil {
		return nil, err
	}
	if err := l.up(ctx); err != nil {
		err = fmt.Errorf("bring lab %s up: %w", l.Instance, err)
		if opts.Diagnosis != nil {
			l.Diagnose(context.WithoutCancel(ctx), opts.Diagnosis)
		}
		return nil, errors.Join(err, l.Down(context.WithoutCancel(ctx)))
	}
	return l, nil
}

func newLab(opts Options) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the lab needs root: it makes network namespaces")
	}
	if opts.Instance == "" {
		opts.Instance = randomName()
	}
	if !instanceForm.MatchString(opts.Instance) {
		return nil, fmt.Errorf("instance %q: want 1 to 12 of a-z and 0-9", opts.Instance)
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	topo := topology.Default()
	if opts.Topology != nil {
		topo = *opts.Topology
	}
	if err := topo.Validate(); err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	if !opts.NetworkOnly {
		var err error
		if opts.Bin, err = findBin(opts.Bin); err != nil {
			return nil, err
		}
	}
	return &Lab{
		Instance: opts.Instance, topo: topo, dir: filepath.Join(BaseDir, opts.Instance), opts: opts, log: opts.Log,
	}, nil
}

func (l *Lab) up(ctx context.Context) error {
	var err error
	if l.processes, err = newSupervisor(l.path("processes"), l.path("logs"), l.opts.Detach, l.log); err != nil {
		return err
	}
	if err := l.save(); err != nil {
		return err
	}
	if err := l.phase("network", func() error { return l.lay(ctx, l.topo.Wiring(l.NSName)) }); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.phase("routers", func() error { return l.startRouters(gctx) }) })
	if !l.opts.NetworkOnly {
		g.Go(func() error { return l.startCluster(gctx) })
	}
	if l.opts.Beside != nil {
		g.Go(func() error { return l.opts.Beside(gctx, l) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if l.opts.NoWait {
		return nil
	}
	return l.phase("converged", func() error { return l.WaitConverged(ctx) })
}

func (l *Lab) startRouters(ctx context.Context) error {
	if err := each(ctx, l.Routers(), func(ctx context.Context, r *Router) error { return r.start(ctx) }); err != nil {
		return err
	}
	return l.WaitFabric(ctx)
}

// Phase runs f and tells OnPhase how long it took.
func (l *Lab) Phase(name string, f func() error) error { return l.phase(name, f) }

func (l *Lab) phase(name string, f func() error) error {
	start := time.Now()
	if err := f(); err != nil {
		return err
	}
	l.log.Info("phase ended", "phase", name, "took", time.Since(start))
	if l.opts.OnPhase != nil {
		l.phaseMu.Lock()
		defer l.phaseMu.Unlock()
		l.opts.OnPhase(name, time.Since(start))
	}
	return nil
}

// Down ends and removes everything of the lab. Calling it twice is no error.
func (l *Lab) Down(ctx context.Context) error {
	if err := l.down(ctx); err != nil {
		return fmt.Errorf("take lab %s down: %w", l.Instance, err)
	}
	return nil
}

// Topology is the data centre as it is now; AddNode and RemoveNode change it.
func (l *Lab) Topology() topology.Topology {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.topo
}

// StartProcess starts one more process, which ends with the lab at the latest.
// argv names its own namespace: see EnterCommand.
func (l *Lab) StartProcess(name string, argv ...string) (*Process, error) {
	return l.processes.start(name, nil, argv...)
}

// Dir is the instance's folder, which ends with the lab.
func (l *Lab) Dir() string { return l.dir }

// Process finds a process by name: NODE-agent, ROUTER-zebra, ROUTER-bgpd,
// ROUTER-bird, controller.
func (l *Lab) Process(name string) (*Process, error) { return l.processes.get(name) }

// Processes are all that the supervisor knows, by name. etcd and the API server
// belong to the control plane and are not among them.
func (l *Lab) Processes() []*Process { return l.processes.all() }

// Launch starts a process of a Name, Argv, Env and Deaf, in place of one of its
// name if that has ended. See StartProcess.
func (l *Lab) Launch(p *Process) error { return l.processes.launch(p) }

// ForgetProcess drops a process that has ended and is not to be started again.
func (l *Lab) ForgetProcess(p *Process) error { return l.processes.forget(p) }

// Dead is the error of every process that ended by itself, with the end of its
// log; nil if none did.
func (l *Lab) Dead() error { return l.processes.dead() }

func randomName() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
