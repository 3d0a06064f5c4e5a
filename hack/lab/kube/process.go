package kube

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a program that this package started, now or in another process.
type process struct {
	PID int `json:"pid"`
	// StartTime tells it from a later process with the same pid: clock ticks
	// since boot (proc(5), stat field 22).
	StartTime uint64 `json:"startTime"`
	// Log holds its stdout and stderr.
	Log string `json:"log"`

	// reaped is closed when a child of ours has been waited for. It is nil for
	// a process that another one started.
	reaped chan struct{}
}

// program is what to run and where.
type program struct {
	path string
	args []string
	// dir is the working directory, which also gets the log.
	dir string
	// netns is the path of the network namespace to run in; "" is the caller's.
	netns string
	// detach lets the process outlive us.
	detach bool
}

// spawn starts a program in a session of its own, so that a terminal's
// interrupt reaches only us.
func spawn(p program) (*process, error) {
	name := filepath.Base(p.path)
	out, err := os.OpenFile(filepath.Join(p.dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(p.path, p.args...) //nolint:noctx // it outlives the start; stop ends it
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !p.detach {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}

	proc := &process{Log: out.Name(), reaped: make(chan struct{})}
	started := make(chan error, 1)
	// Pdeathsig is about the thread that forked, not about our process: that
	// thread stays until the child has been waited for. The child also inherits
	// the thread's network namespace.
	onThread(func() {
		defer close(proc.reaped)
		err := enterNetNS(p.netns)
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			started <- err
			return
		}
		// Before the wait: one that has ended already is in /proc until then.
		proc.PID = cmd.Process.Pid
		if proc.StartTime, err = startTime(proc.PID); err != nil {
			_ = cmd.Process.Kill()
		}
		started <- err
		_ = cmd.Wait() // its log says more than its exit status
	})
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return proc, nil
}

// open returns a pidfd of the process, or false when it has ended.
func (p *process) open() (int, bool) {
	if p == nil {
		return 0, false
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return 0, false
	}
	// Only now: the descriptor pins the process that has the pid at this moment.
	if at, err := startTime(p.PID); err != nil || at != p.StartTime {
		_ = unix.Close(fd)
		return 0, false
	}
	return fd, true
}

// alive is false as soon as the process has ended, waited for or not.
func (p *process) alive() bool {
	fd, ok := p.open()
	if !ok {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	return !ended(fd, 0)
}

// stop asks the process to end and kills it after grace. It returns once the
// process is gone; to stop one that is gone is no error.
func (p *process) stop(grace time.Duration) error { return p.end(step{unix.SIGTERM, grace}, atOnce) }

// kill ends the process without asking it.
func (p *process) kill() error { return p.end(atOnce) }

// step of ending a process: a signal, and how long its end is then waited for.
type step struct {
	signal unix.Signal
	wait   time.Duration
}

var atOnce = step{unix.SIGKILL, 10 * time.Second}

func (p *process) end(steps ...step) error {
	fd, ok := p.open()
	if !ok {
		return nil
	}
	defer func() { _ = unix.Close(fd) }()
	for _, step := range steps {
		if err := unix.PidfdSendSignal(fd, step.signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal process %d: %w", p.PID, err)
		}
		if ended(fd, step.wait) {
			if p.reaped != nil {
				<-p.reaped
			}
			return nil
		}
	}
	return fmt.Errorf("process %d lives on after SIGKILL", p.PID)
}

// ended waits for the process behind a pidfd to end.
func ended(fd int, wait time.Duration) bool {
	deadline := time.Now().Add(wait)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(0, time.Until(deadline).Milliseconds())))
		if !errors.Is(err, unix.EINTR) {
			return n == 1
		}
	}
}

// tail is the end of the log, for errors.
func (p *process) tail() string {
	const size = 4 << 10
	b, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return "... " + string(b[max(0, len(b)-size):])
}

// startTime reads field 22 of /proc/PID/stat. Field 2, the command in
// parentheses, may itself hold spaces and parentheses.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	stat := string(b)
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const afterCommand = 22 - 3
	if len(fields) <= afterCommand {
		return 0, fmt.Errorf("process %d: unreadable stat %q", pid, stat)
	}
	return strconv.ParseUint(fields[afterCommand], 10, 64)
}
