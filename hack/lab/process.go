package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopBound is how long a process may take to end by SIGTERM before SIGKILL.
const stopBound = 5 * time.Second

// tailLines is how much of a log a report shows.
const tailLines = 25

// Process is one long-running program of the lab. It can be stopped, killed and
// started again by any process that opens the lab: its record is a file.
type Process struct {
	// Name is unique in the lab: "n1-agent", "r1-tor1-bgpd", "controller".
	Name string `json:"name"`
	// Argv is the whole command line, with the entry into its namespace.
	Argv []string `json:"argv"`
	Env  []string `json:"env,omitempty"`
	// Deaf says that it ends by SIGKILL alone.
	Deaf bool `json:"deaf,omitempty"`
	// Log receives standard output and error, of all its lives.
	Log string `json:"log"`
	// Pid and Born (start time in clock ticks since boot) name the process; 0 if it was never started.
	Pid  int    `json:"pid"`
	Born uint64 `json:"born"`
	// Ending says that its end is wanted, by whichever process of the lab.
	Ending bool `json:"ending,omitempty"`

	record string
	detach bool // lets it outlive us
	died   func(*Process, error)

	mu    sync.Mutex
	ended chan struct{} // closed when our child has been waited for
}

// Start starts it. It must not be running.
func (p *Process) Start() error {
	if p.Running() {
		return fmt.Errorf("start %s: it runs as %d", p.Name, p.Pid)
	}
	// Whether the end of its last life was wanted is asked before the next begins.
	if err := p.waitEnd(context.Background()); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer log.Close()
	// No context ends it: its life is the lab's, or longer.
	cmd := exec.CommandContext(context.Background(), p.Argv[0], p.Argv[1:]...)
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	// A session of its own: an interrupt at the terminal is the lab's to handle, in its order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !p.detach {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	return p.run(cmd)
}

// run starts cmd on a thread that stays until the process has ended: Pdeathsig is
// about the thread that forked, not about our process.
func (p *Process) run(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		if !p.endWanted() && p.died != nil {
			p.died(p, err)
		}
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.Pid, p.Ending, p.ended = cmd.Process.Pid, false, ended
	var err error
	if p.Born, err = bornAt(p.Pid); err != nil {
		p.Ending = true
		return fmt.Errorf("start %s: it ended at once: %w\n%s", p.Name, err, p.Tail())
	}
	return p.save()
}

// endWanted says whether this process, or by the record another one, has asked
// it to end.
func (p *Process) endWanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Ending {
		return true
	}
	data, err := os.ReadFile(p.record)
	if err != nil {
		return false
	}
	var record struct {
		Pid    int  `json:"pid"`
		Ending bool `json:"ending"`
	}
	return json.Unmarshal(data, &record) == nil && record.Pid == p.Pid && record.Ending
}

// Running says whether the very process that was started is still there.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Pid == 0 {
		return false
	}
	born, err := bornAt(p.Pid)
	return err == nil && born == p.Born
}

// Stop asks the process to end, and kills it if it has not within 5 s, or at once
// if it would not hear.
func (p *Process) Stop(ctx context.Context) error {
	if p.Deaf {
		return p.Kill9(ctx)
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	if p.waitEnd(ctx) == nil {
		return nil
	}
	return p.Kill9(context.WithoutCancel(ctx))
}

// Kill9 ends the process by SIGKILL and returns when it is gone.
func (p *Process) Kill9(ctx context.Context) error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	return p.waitEnd(ctx)
}

// Restart kills the process by SIGKILL and starts it again.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Kill9(ctx); err != nil {
		return err
	}
	return p.Start()
}

// MayEnd says whether an end by itself is what is to be expected of the process,
// such as of a controller that cannot renew its lease, until it is started again.
func (p *Process) MayEnd(may bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Ending = may
	return p.save()
}

func (p *Process) signal(s syscall.Signal) error {
	if !p.Running() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Ending = true
	if err := p.save(); err != nil {
		return err
	}
	if err := syscall.Kill(p.Pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%v to %s (%d): %w", s, p.Name, p.Pid, err)
	}
	return nil
}

func (p *Process) waitEnd(ctx context.Context) error {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if ended != nil {
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(stopBound):
			return fmt.Errorf("%s (%d) still runs after %v", p.Name, p.Pid, stopBound)
		}
	}
	// Not our child: there is nothing to wait on but its entry in /proc.
	return poll(ctx, stopBound, 20*time.Millisecond, "end of "+p.Name, func(context.Context) error {
		if p.Running() {
			return fmt.Errorf("%d runs", p.Pid)
		}
		return nil
	})
}

// Tail is the end of its log.
func (p *Process) Tail() string { return tail(p.Log) }

func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimRight(data, "\n"), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-tailLines):], []byte("\n")))
}

func (p *Process) save() error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("record %s: %w", p.Name, err)
	}
	return writeFile(p.record, data, 0o600)
}

// bornAt is the start time of a living process (proc(5), stat field 22), which
// together with the pid names it for ever. A zombie (Z) is not living, nor is one
// that is just being waited for (X).
func bornAt(pid int) (uint64, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses and may hold anything.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// writeFile replaces a file in one step.
func writeFile(path string, data []byte, mode os.FileMode) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
