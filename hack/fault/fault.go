// Package fault runs a program under ptrace(2) to see how it leaves the world
// when it dies: it records every system call by which the program changes
// something outside of itself, and kills it right after one of them in a later
// run. The program has no hook for it and cannot tell.
//
// The threads of a Go program take turns in no fixed order, so a call is named
// by its kind and by its number among the calls of that kind, never by its place
// among all.
//
// Invariants: nothing but the program and what it starts is traced, waited for
// or killed, so several runs may go on at once beside other children of the
// process; none of them outlives the thread that traces it (PTRACE_O_EXITKILL).
package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Kind of a state-changing system call.
type Kind string

// Kinds. Only calls that succeeded count: one that failed changed nothing.
const (
	// NetlinkChange is a send of at least one request that changes something.
	NetlinkChange Kind = "netlink change"
	// NetlinkRead is a send of requests that ask only.
	NetlinkRead Kind = "netlink read"
	// Create is an open that may create a file or empties one, or mknod.
	Create Kind = "create"
	// Write is a write to a file: not to a pipe, as our standard files are, to a
	// device, or to what has no name at all, such as an eventfd.
	Write Kind = "write"
	// Sysctl is a write to a file below /proc/sys.
	Sysctl   Kind = "sysctl"
	Truncate Kind = "truncate"
	Rename   Kind = "rename"
	Unlink   Kind = "unlink"
	Link     Kind = "link"
	Mkdir    Kind = "mkdir"
	Rmdir    Kind = "rmdir"
	Chmod    Kind = "chmod"
	Chown    Kind = "chown"
	// Flock and FcntlLock take locks and let go of them.
	Flock     Kind = "flock"
	FcntlLock Kind = "fcntl lock"
	Setns     Kind = "setns"
	Unshare   Kind = "unshare"
	Mount     Kind = "mount"
	Umount    Kind = "umount"
)

// Point names a call of one run so that it can be found in another.
type Point struct {
	Kind Kind
	// Ordinal among the calls of the kind, from 1.
	Ordinal int
}

func (p Point) String() string { return fmt.Sprintf("%s %d", p.Kind, p.Ordinal) }

// Call is a state-changing system call that succeeded.
type Call struct {
	Point
	// Detail is for people: the path, the netlink messages.
	Detail string
}

// Command is a program to run.
type Command struct {
	// Path of the program, and Args after its name.
	Path string
	Args []string
	// Env is the whole environment.
	Env []string
	// Stdin is what it reads.
	Stdin string
}

// Outcome of a run.
type Outcome struct {
	// Calls in the order in which they returned.
	Calls          []Call
	Stdout, Stderr string
	// Status of the program's process.
	Status unix.WaitStatus
	// Killed is set if the point was reached.
	Killed bool
}

// Trace runs a command to its end and records its calls. The command runs where
// the calling thread is: in its namespaces.
func Trace(ctx context.Context, c Command) (Outcome, error) { return run(ctx, c, Point{}) }

// Kill runs a command and kills it, and all that it started, by SIGKILL right
// after the call that the point names has returned. A run that does not come to
// the point goes to its end.
func Kill(ctx context.Context, c Command, at Point) (Outcome, error) { return run(ctx, c, at) }

func run(ctx context.Context, c Command, at Point) (Outcome, error) {
	// ptrace(2) answers only to the thread that started the program.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := start(c)
	if err != nil {
		return Outcome{}, fmt.Errorf("start %s: %w", c.Path, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = unix.Kill(-p.pid, unix.SIGKILL) })
	t := newTracer(p.pid, at)
	err = t.run()
	stop()
	out, readErr := p.output()
	out.Calls, out.Status, out.Killed = t.calls, t.status, t.killed
	if err = errors.Join(err, readErr, ctx.Err()); err != nil {
		return out, fmt.Errorf("trace %s: %w", c.Path, err)
	}
	return out, nil
}

// process is a program that was started, with its standard files.
type process struct {
	pid            int
	stdout, stderr reading
}

// start starts the program in a process group of its own. It is stopped then:
// it has become the program, but has not run.
func start(c Command) (*process, error) {
	var theirs, ours []*os.File
	pipe := func(read bool) (err error) {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		if read {
			r, w = w, r
		}
		theirs, ours = append(theirs, r), append(ours, w)
		return nil
	}
	err := errors.Join(pipe(false), pipe(true), pipe(true))
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	var started *os.Process
	if err == nil {
		started, err = os.StartProcess(c.Path, append([]string{c.Path}, c.Args...), &os.ProcAttr{
			Env: c.Env, Files: theirs, Sys: &unix.SysProcAttr{Ptrace: true, Setpgid: true},
		})
	}
	if err != nil {
		for _, f := range ours {
			_ = f.Close()
		}
		return nil, err
	}
	p := &process{pid: started.Pid}
	_ = started.Release() // the tracer waits for it
	go func() {
		_, _ = io.WriteString(ours[0], c.Stdin) // who does not read it does not want it
		_ = ours[0].Close()
	}()
	p.stdout.start(ours[1])
	p.stderr.start(ours[2])
	return p, nil
}

func (p *process) output() (out Outcome, err error) {
	err = errors.Join(p.stdout.wait(), p.stderr.wait())
	out.Stdout, out.Stderr = string(p.stdout.data), string(p.stderr.data)
	return out, err
}

// reading is a pipe that is read to its end.
type reading struct {
	wg   sync.WaitGroup
	data []byte
	err  error
}

func (r *reading) start(f *os.File) {
	r.wg.Go(func() {
		defer f.Close()
		r.data, r.err = io.ReadAll(f)
	})
}

func (r *reading) wait() error {
	r.wg.Wait()
	return r.err
}
