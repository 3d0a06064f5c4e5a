// Package router runs BIRD and FRR in namespaces, for areas that measure beside them.
package router

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/bench/rig"
)

// bound is how long a daemon may take to start, and to answer.
const bound = time.Minute

// BIRD runs in a namespace; we are connected to its control socket.
type BIRD struct {
	ns     nstest.NS
	argv   []string
	socket string
	daemon *rig.Daemon
	conn   net.Conn
	lines  *bufio.Reader
}

// StartBIRD starts a BIRD whose files are in dir under its name. Kill ends it.
func StartBIRD(ctx context.Context, ns nstest.NS, dir, name, config string) (*BIRD, error) {
	conf, err := configure(dir, name+".conf", config)
	if err != nil {
		return nil, err
	}
	b := &BIRD{ns: ns, socket: filepath.Join(dir, name+".ctl")}
	b.argv = []string{"bird", "-f", "-c", conf, "-s", b.socket}
	return b, b.Start(ctx)
}

// configure writes a daemon's configuration and returns its path.
func configure(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { // FRR's daemons drop root
		return "", fmt.Errorf("configure %s: %w", name, err)
	}
	return path, nil
}

// Start starts it again after Kill, with more arguments.
func (b *BIRD) Start(ctx context.Context, args ...string) error {
	var err error
	if b.daemon, err = rig.Start(b.ns, nil, nil, nil, append(b.argv, args...)...); err != nil {
		return err
	}
	err = rig.Wait(ctx, bound, time.Millisecond, "control socket of bird", func() error {
		if err := b.daemon.Alive(); err != nil {
			return err
		}
		b.conn, err = (&net.Dialer{}).DialContext(ctx, "unix", b.socket)
		return err
	})
	if err != nil {
		b.daemon.Kill()
		return err
	}
	b.lines = bufio.NewReader(b.conn)
	if _, err := b.reply(ctx); err != nil { // its greeting
		b.Kill()
		return fmt.Errorf("greeting of bird: %w", errors.Join(err, b.daemon.Alive()))
	}
	return nil
}

// Kill is kill -9.
func (b *BIRD) Kill() {
	b.daemon.Kill()
	if b.conn != nil {
		_ = b.conn.Close() // nothing of it matters any more
	}
}

// Alive is nil while it runs.
func (b *BIRD) Alive() error { return b.daemon.Alive() }

// PIDs of its process.
func (b *BIRD) PIDs() []int { return []int{b.daemon.PID()} }

// Command runs a command of BIRD's and returns its reply.
func (b *BIRD) Command(ctx context.Context, command string) (string, error) {
	if _, err := fmt.Fprintln(b.conn, command); err != nil {
		return "", fmt.Errorf("bird: %s: %w", command, err)
	}
	reply, err := b.reply(ctx)
	if err != nil {
		return "", fmt.Errorf("bird: %s: %w", command, err)
	}
	return reply, nil
}

// reply reads up to the line that ends a reply: four digits and a space, where
// lines that go on have a minus or begin with a space. 8 and 9 begin errors.
func (b *BIRD) reply(ctx context.Context) (string, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(bound)
	}
	if err := b.conn.SetReadDeadline(deadline); err != nil {
		return "", err
	}
	var text strings.Builder
	for {
		line, err := b.lines.ReadString('\n')
		if err != nil {
			return "", err
		}
		if len(line) < 5 || line[0] == ' ' {
			text.WriteString(strings.TrimPrefix(line, " "))
			continue
		}
		text.WriteString(line[5:])
		switch {
		case line[4] == '-':
		case line[0] == '8' || line[0] == '9':
			return "", fmt.Errorf("answered %q", strings.TrimSpace(line))
		default:
			return text.String(), nil
		}
	}
}
