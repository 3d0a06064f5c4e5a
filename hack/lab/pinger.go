package lab

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Pinger is a ping that goes on while something else is done to the lab.
type Pinger struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	from string
	to   netip.Addr
}

// StartPing sends a packet each 10 ms from a role's or pod's namespace until Stop,
// or until ctx ends.
func (l *Lab) StartPing(ctx context.Context, role string, to netip.Addr) (*Pinger, error) {
	line := enter(l.NSName(role), "ping", "-n", "-D", "-i", fmt.Sprint(pingInterval.Seconds()), to.String())
	p := &Pinger{cmd: exec.CommandContext(ctx, line[0], line[1:]...), from: role, to: to}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("ping %s from %s: %w", to, role, err)
	}
	return p, nil
}

// Trace is the outcome of a Pinger.
type Trace struct {
	Loss
	// Gaps are the runs of lost packets, by sequence number (from 1, 10 ms apart).
	Gaps []Gap
	// Silence is the longest time between two answers. It is longer than the
	// gap's packets say when ping could not send.
	Silence time.Duration
}

// Gap is a run of packets that did not come back.
type Gap struct{ First, Last int }

func (t Trace) String() string {
	if len(t.Gaps) == 0 {
		return t.Loss.String()
	}
	return fmt.Sprintf("%s, sequence numbers %v, silent for %v", t.Loss, t.Gaps, t.Silence)
}

// onTheWay is how many packets may be without an answer when a ping is stopped:
// a busy machine is slow, and only what the end cut off does not count.
const onTheWay = 20

// Stop ends the ping and tells what was lost. The packets that are on their way
// at that moment, those of the last 200 ms at most, do not count.
func (p *Pinger) Stop() (Trace, error) {
	_ = p.cmd.Process.Signal(syscall.SIGINT) // one that has ended says so by Wait
	err := p.cmd.Wait()
	loss, ok := parsePing(p.out.String())
	if !ok {
		return Trace{}, fmt.Errorf("ping %s from %s: %w: %s", p.to, p.from, err, tailOf(p.out.String()))
	}
	return traceOf(p.out.String(), loss.Sent), nil
}

// pingReply finds the answers in the output of ping -D.
var pingReply = regexp.MustCompile(`\[(\d+\.\d+)\] \d+ bytes from .* icmp_seq=(\d+) `)

// traceOf finds what is missing of the packets 1 to sent in ping's output.
func traceOf(out string, sent int) Trace {
	var t Trace
	got := map[int]bool{}
	last := 0.0
	for _, m := range pingReply.FindAllStringSubmatch(out, -1) {
		n, _ := strconv.Atoi(m[2])
		got[n] = true
		at, _ := strconv.ParseFloat(m[1], 64)
		if last != 0 {
			t.Silence = max(t.Silence, time.Duration((at-last)*float64(time.Second)).Round(time.Millisecond))
		}
		last = at
	}
	for cut := sent - onTheWay; sent > max(cut, 0) && !got[sent]; {
		sent--
	}
	t.Sent = sent
	for n := 1; n <= sent; n++ {
		switch {
		case got[n]:
			t.Received++
		case len(t.Gaps) > 0 && t.Gaps[len(t.Gaps)-1].Last == n-1:
			t.Gaps[len(t.Gaps)-1].Last = n
		default:
			t.Gaps = append(t.Gaps, Gap{First: n, Last: n})
		}
	}
	return t
}

func tailOf(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
