package bgp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/bench/rig"
)

// bird is a BIRD in a namespace, and a connection to its control socket.
type bird struct {
	ns     nstest.NS
	argv   []string
	socket string
	daemon *rig.Daemon
	conn   net.Conn
	lines  *bufio.Reader
}

func (s *stage) newBIRD(ctx context.Context, ns nstest.NS, name, config string) (*bird, error) {
	conf, err := s.file(name+".conf", config)
	if err != nil {
		return nil, err
	}
	b := &bird{ns: ns, socket: filepath.Join(s.dir, name+".ctl")}
	b.argv = []string{"bird", "-f", "-c", conf, "-s", b.socket}
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, b.kill)
	return b, nil
}

// start starts it, or starts it again with more arguments.
func (b *bird) start(ctx context.Context, args ...string) error {
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
		b.kill()
		return fmt.Errorf("greeting of bird: %w", errors.Join(err, b.daemon.Alive()))
	}
	return nil
}

func (b *bird) kill() {
	b.daemon.Kill()
	if b.conn != nil {
		_ = b.conn.Close() // nothing of it matters any more
	}
}

// command runs a command of BIRD's and returns its reply.
func (b *bird) command(ctx context.Context, command string) (string, error) {
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
func (b *bird) reply(ctx context.Context) (string, error) {
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

// birdTor configures a receiver: it waits for both senders and puts all routes into
// its kernel. Its sessions are named for the senders.
func (s *stage) birdTor() string {
	var b strings.Builder
	fmt.Fprintf(&b, "router id %s;\nprotocol device {}\nprotocol kernel { ipv4 { export all; }; }\n", s.wires[0].torAddress())
	for _, w := range s.wires {
		fmt.Fprintf(&b, `protocol bgp %s {
  local as %d; neighbor %s as %d; passive; hold time 30; graceful restart on;
  ipv4 { import all; export none; };
}
`, w.session(), torASN, w.nodeAddress(), nodeASN)
	}
	return b.String()
}

func (w wire) session() string { return fmt.Sprint("sender", w.number) }

// birdSender configures our speaker's counterpart. It announces the prefixes of its
// static protocols, each of which is enabled and disabled by its name. It dials
// as fast as BIRD can be told to.
func (w wire) birdSender(always, one, many int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `router id %s;
protocol device {}
protocol bgp tor {
  local as %d; neighbor %s as %d; hold time 30; graceful restart on;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import none; export all; };
}
`, w.nodeAddress(), nodeASN, w.torAddress(), torASN)
	for _, static := range []struct {
		name, state string
		from, count int
	}{{"routes_base", "", 0, always}, {"routes_one", "disabled;", always, one}, {"routes_many", "disabled;", always, many}} {
		fmt.Fprintf(&b, "protocol static %s { ipv4; %s\n", static.name, static.state)
		for _, p := range w.prefixes(static.from, static.count) {
			fmt.Fprintf(&b, "  route %s blackhole;\n", p)
		}
		b.WriteString("}\n")
	}
	return b.String()
}
