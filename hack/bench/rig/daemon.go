package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"fairlead.dev/dataplane/nstest"
)

// Daemon is a program that runs until it is killed, or with our process.
type Daemon struct {
	name  string
	cmd   *exec.Cmd
	said  lockedBuffer
	ended chan struct{}
}

// Start starts a daemon inside a namespace. in and out may be nil.
func Start(ns nstest.NS, env []string, in io.Reader, out io.Writer, argv ...string) (*Daemon, error) {
	d := &Daemon{name: argv[0], ended: make(chan struct{})}
	// No context: Kill ends it, or our own end.
	d.cmd = exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stdin, d.cmd.Stdout, d.cmd.Stderr = in, out, &d.said
	// A session of its own: an interrupt at the terminal is ours to handle.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		defer close(d.ended)
		// Pdeathsig is about the thread that forked: it has to stay.
		err := ns.Inside(func() error {
			err := d.cmd.Start()
			started <- err
			if err == nil {
				_ = d.cmd.Wait() // it is killed, or Alive tells
			}
			return nil
		})
		if err != nil {
			started <- err // it was not entered, so nothing was sent
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", d.name, err)
	}
	return d, nil
}

// Kill is kill -9; it returns when the daemon is gone.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill() // one that has ended is what we want
	<-d.ended
}

// Wait returns when it has ended by itself, and what it said on standard error.
func (d *Daemon) Wait() string {
	<-d.ended
	return strings.TrimSpace(d.said.String())
}

// PID of its process.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Alive is nil while the daemon runs, and tells what it said if it does not.
func (d *Daemon) Alive() error {
	select {
	case <-d.ended:
		return errors.New(d.name + " has ended: " + strings.TrimSpace(d.said.String()))
	default:
		return nil
	}
}

// lockedBuffer is written by a child's output while it is read.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
