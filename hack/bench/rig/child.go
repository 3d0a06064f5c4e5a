package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"fairlead.dev/dataplane/nstest"
)

// Child is this very program in a process of its own, which is told things and
// answers, in JSON by its standard input and output.
type Child struct {
	daemon  *Daemon
	in, out *os.File
	orders  *json.Encoder
	answers *json.Decoder
}

// StartChild starts it inside a namespace, with a variable set by which it knows
// what it is.
func StartChild(ns nstest.NS, env string) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find our own program: %w", err)
	}
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	defer stdin.Close()
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start child: %w", err), in.Close())
	}
	defer stdout.Close()
	d, err := Start(ns, []string{env + "=yes"}, stdin, stdout, self)
	if err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	return &Child{daemon: d, in: in, out: out, orders: json.NewEncoder(in), answers: json.NewDecoder(out)}, nil
}

// Tell gives an order and reads the answer, unless that is nil.
func (c *Child) Tell(order, answer any) error {
	err := c.orders.Encode(order)
	if err == nil && answer != nil {
		err = c.answers.Decode(answer)
	}
	if err != nil {
		return fmt.Errorf("tell child: %w", errors.Join(err, c.Alive()))
	}
	return nil
}

// Alive is nil while the child runs, and tells what it said if it does not.
func (c *Child) Alive() error { return c.daemon.Alive() }

// PID of its process.
func (c *Child) PID() int { return c.daemon.PID() }

// Kill is kill -9; it returns when the child is gone.
func (c *Child) Kill() {
	c.daemon.Kill()
	_, _ = c.in.Close(), c.out.Close() // nobody is at the other ends
}
